"""A program that watches over one command, with the job's folder as its working directory.

In the manner of conmon(8) and of containerd's shim it outlives whoever started it: it keeps the
command's output, ends, stops and continues the command with all that it started, and leaves its
result. What to run it reads from its standard input, which is memory: it may
hold secrets, and those must not stay on a disk. For the rest the program and its launcher speak
through files of the folder:

==============  ========  =======================================================================
``spec.json``   launcher  The job is ready to be begun. Written last: who sees it sees the job's
                          other files, too. Its time tells when a shim was last set upon it
``claim.json``  shim      Which process has the job. Appears at once, whole, and only once. A
                          launcher takes the job itself to make sure that it never begins
``frames``      shim      The output: a header and a payload of whole lines, again and again
``outputs``     command   Named results; ``$SLIPWAY_OUTPUT`` names this file
``usage``       shim      What the command takes of the machine, now and then
``exit.json``   shim      How it ended. Written last: who sees it sees all of the output
``cancel``      launcher  Exists: the command shall end
``pause``       launcher  Exists: the command shall stand still
==============  ========  =======================================================================

Where a definition wants them, the command's streams also go to files outside of the folder, as the
plain bytes that they are (``places.py``), and what it printed becomes its result (``captures.py``).

Claim and result are on the disk (fsync(2)) before the command begins, and before the shim ends.

A request is a file, and SIGUSR1 says no more than that there may be a new one. So none is lost
that was made before the shim was up, and a pause and a resume cannot overtake each other, as two
signals can. SIGTERM ends the command, too: a machine that shuts down sends it.

It is a fork of a fork server (``fork_server.py``), which has loaded all of this already, and looks
like the program that can be executed in its place (``job_processes.shim_command``).

The folder stands for itself: it needs the standard library only, of that no slow part (it runs for
every step of every workflow), and nothing of ``app``, hence the relative imports.
"""
