"""What runs on a cluster: a server on the login node, and the supervisor of a job on its node.

The code is sent with each connection (``remote.py``, ``package.py``) and needs Python 3.6 and its
standard library only. Words of Slurm stay on our side: whoever asks gives the command lines, and
gets the texts back as they were.

Messages go both ways as in :mod:`app.engine.launchers.messages`: a head and a body. A request is
``{"id", "verb", "arguments"}``; its answer ``{"id", "result"}`` or ``{"id", "error": {"kind",
"message", "detail"}}``, whose kind is ``invalid`` (for the user), ``refused`` (for good),
``unreachable`` (for now) or ``fault``. Requests are served at the same time, in any order.

Folders are absolute paths, and each is that of a job unless it says otherwise. What is asked for
several jobs is answered for each in the same order; one that fails has ``{"error": ...}`` in its
place and holds up no other.

What a program came to, *ran* below, is ``{"code", "stdout", "stderr", "timed_out", "cut"}``: texts
as they came, ``cut`` where they were too long. The code is 127 (with the reason in ``stderr``)
where it could not be begun, so surely did nothing, and null where it was ended for its time.
*Program* is ``{"argv", "timeout_seconds"}`` and, where need be, ``env`` (changes to the account's
environment; null takes a variable away) and ``stdin`` (a text).

``hello {workdir, version: program | null, digest | null}``
    ``{home, user, hostname, python, executable, clock, umask, root, version: ran | null,
    package}``. ``root`` is the workdir as an absolute path, ``package`` the path of what
    ``install`` left, null where it is missing. Makes nothing.
``install {root, digest}`` + the package
    ``{path}``: it is on the cluster, whole, as ``<root>/.slipway/slipway-<digest>.pyz``.
``prepare {jobs: [{folder, execution_id, working_dir, files: {name: text}}]}``
    ``{jobs: [{}]}``: as :meth:`Launcher.prepare`.
``submit {submissions: [{program, jobs: [{folder, mark, specification}]}]}``
    ``{submissions: [{ran: ran | null, jobs: [outcome]}]}``. One submission is one run of sbatch,
    and an array where it has several jobs; the jobs must be prepared. The script is the ``stdin``
    of the program. An outcome has a ``state``:

    - ``submitted`` with ``id`` and ``moment``: now, or by an earlier call
    - ``begun``: it has a claim, and was not submitted again
    - ``unsure`` with ``mark`` and ``moment``: an earlier call, or this one, may have submitted it.
      Look for the mark, then call ``submitted`` or ``resubmit``
    - ``failed``: the program said no, with a code above 0; ``ran`` has its words, and whether that
      is for good is the caller's to tell. It is ``unsure`` for the next call, and at once where a
      signal ended the program
    - ``prepared``: nothing was done, because another job of the same submission could not be
      submitted; or the program could not be begun
``submitted {jobs: [{folder, id, moment}]}``
    ``{jobs: [{}]}``: notes what the caller found.
``resubmit {jobs: [{folder, moment}]}``
    ``{jobs: [{done}]}``: forgets the submission of that moment, so that ``submit`` tries again; not
    done where there is another one by now.
``conclude {jobs: [{folder, exit}]}``
    ``{jobs: [{done}]}``: takes the claim of a job that never runs, and leaves ``exit`` as its
    result; not done where it has begun.
``look {jobs: [{folder, offset}], most_bytes}`` -> + growth of all, one after the other
    ``{clock, jobs: [{absent: true} | {prepared, claim, exit, submission, job, usage, cancel, pause,
    size, growth}]}``. ``claim``, ``exit``, ``submission`` and ``job`` are the texts of the records,
    null where missing, ``{"damaged": why}`` where they cannot be read; ``usage`` is hexadecimal.
    ``size`` is that of the frames, ``growth`` how many bytes of the body are its frames from
    ``offset`` on: whole ones, of as many jobs as the bound lets through. The next call goes on with
    the job behind the last one, so none starves.
    Records that are too large together are left out: their jobs have an ``error`` for now.
``read {folder, offset, most_bytes}`` -> + frames
    ``{}``; at least one whole frame, if there is one.
``outputs {folder}`` -> + what the command wrote, up to one byte more than there may be
    ``{}``
``usage {folder}``
    ``{usage}``, hexadecimal, or null.
``refuse {folder, cancelled}``
    ``{refused}``: as :meth:`Launcher.refuse`.
``cancel``, ``pause``, ``resume`` ``{jobs: [{folder, program | null}]}``
    ``{jobs: [ran | null]}``: leaves the request, or takes it back, and then runs the program.
``tidy {jobs: [{folder}]}``
    ``{jobs: [{}]}``: takes away what the specification holds, and the files of the job: it surely
    runs no more.
``work_folder {folder, files: {path: text}, begun}``
    ``{}``: as :meth:`Launcher.make_work_folder`.
``stage {folder, paths}``
    ``{}``: as :func:`app.engine.launchers.staging.check_files`.
``remove {folder, seconds}``
    ``{done}``: as :meth:`Launcher.remove_folder`.
``run {program, most_bytes}`` -> + what it printed
    ran, with an empty ``stdout``.
``check {root, quota: program | null}``
    ``{clock, write: null | why not, total_bytes, free_bytes, free_files, quota: ran | null}``

At the end of its input, and by SIGTERM or SIGHUP, the server ends: it begins no program any more,
ends those that run, and waits a while for submissions, whose ids it notes.

The result of a job has ``ended_by_slurm`` where Slurm ended it and nobody had left the request
``cancel``: its time limit, a preemption, scancel. Where the specification has ``requeue``, such a
job keeps its specification and files, and a later run of the same job, with a higher count of
restarts in its claim, takes it over and adds its output to what is there.
"""
