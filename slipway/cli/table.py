"""All commands in one static table: help, manuals, completion and llms.txt are made of it.

Nothing of a command is imported to show it in a list. A name of two words is a command of a group:
``keys create`` is found at ``keys``.
"""

from __future__ import annotations

from typing import Final, NamedTuple

GROUPS: Final = ("Everyday", "Workflows", "Keys", "Account", "Service")
"""The sections of the help, in their order."""
INSTALL: Final = "pip install 'slipway-hpc[server]'"
"""How the service is installed beside the command line."""
_MODULES: Final = "slipway.cli.commands."


class Entry(NamedTuple):
    """A command.

    Attributes:
        name: The words by which it is called.
        group: One of :data:`GROUPS`.
        summary: What it does, as one line.
        examples: Two command lines.
        aliases: Other names, which no list shows; of two words where they stand in a group.
        service: It belongs to the service, which has its own code and help for it.
        local: Options with which the word means the command of the service of that name, which
            works on the machine of the service without asking it; an empty one: the word alone.
        shown: Whether lists show it.
        file: Module that holds it, where that is not called after its first word.
    """

    name: str
    group: str
    summary: str
    examples: tuple[str, str]
    aliases: tuple[str, ...] = ()
    service: bool = False
    local: tuple[str, ...] = ()
    shown: bool = True
    file: str = ""

    @property
    def shown_alone(self) -> bool:
        """Whether lists show it beside others, and not in the group that it is in."""
        return self.shown and " " not in self.name

    @property
    def module(self) -> str:
        """Dotted name of the module that holds it."""
        return _MODULES + (self.file or self.name.partition(" ")[0].replace("-", "_"))

    @property
    def attribute(self) -> str:
        """Name by which the module has it: ``command``, or that of the second word."""
        word = self.name.partition(" ")[2].replace("-", "_")
        return {"": "command", "list": "list_"}.get(word, word)


TABLE: Final = (
    # Everyday
    Entry(
        "run", "Everyday", "Launch a workflow, and follow it if asked to.",
        ("slipway run diamond -i n=3000000 -f",
         "slipway run report -i year=2026 -i data=@table.csv --label team=ice"),
    ),
    Entry(
        "ps", "Everyday", "List executions: those that run, and those of the last day.",
        ("slipway ps", "slipway ps -a --status failed --since 3d"),
        ("exec list", "exec ls"),
    ),
    Entry(
        "status", "Everyday", "Show how an execution stands, step by step.",
        ("slipway status", "slipway status 7f3a -f"),
    ),
    Entry(
        "wait", "Everyday", "Wait until executions are over; end with their result.",
        ("slipway wait @latest", "slipway wait 7f3a c01d"),
        ("exec wait",),
    ),
    Entry(
        "logs", "Everyday", "Print the log of an execution, or follow it.",
        ("slipway logs -f", "slipway logs 7f3a -t --level warn --step join --tail 20"),
    ),
    Entry(
        "tasks", "Everyday", "List the steps of an execution with their tries and codes.",
        ("slipway tasks", "slipway tasks 7f3a -o json"),
        ("exec tasks",),
    ),
    Entry(
        "outputs", "Everyday", "Print what came out of an execution.",
        ("slipway outputs", "slipway outputs @latest:diamond primes"),
        ("exec outputs",),
    ),
    Entry(
        "events", "Everyday", "Show what happens to executions, as it happens.",
        ("slipway events -f", "slipway events -f -o json"),
    ),
    Entry(
        "cancel", "Everyday", "Cancel executions.",
        ("slipway cancel @latest", "slipway cancel 7f3a c01d --yes"),
        ("exec cancel", "exec delete", "exec del", "exec d", "exec c"),
    ),
    Entry(
        "pause", "Everyday", "Pause an execution: no further step begins.",
        ("slipway pause 7f3a", "slipway pause @latest"),
        ("exec pause",),
    ),
    Entry(
        "resume", "Everyday", "Let a paused execution go on.",
        ("slipway resume 7f3a", "slipway resume @latest"),
        ("exec resume",),
    ),
    Entry(
        "rerun", "Everyday", "Launch the same again, with other inputs if asked to.",
        ("slipway rerun @latest -f", "slipway rerun 7f3a -i n=10"),
    ),
    Entry(
        "retry", "Everyday", "Go on with what failed, from where it failed.",
        ("slipway retry @latest", "slipway retry c01d -f"),
    ),
    Entry(
        "diff", "Everyday", "Say in what two executions differ.",
        ("slipway diff c01d 7f3a", "slipway diff @latest:diamond 7f3a -o json"),
    ),
    Entry(
        "bundle", "Everyday", "Save all that is known of an execution, for the help desk.",
        ("slipway bundle c01d", "slipway bundle @latest --out night.zip"),
    ),
    Entry(
        "task", "Everyday", "Start, stop or restart single steps.",
        ("slipway task restart 7f3a join", "slipway task stop @latest low"),
    ),
    Entry(
        "task start", "Everyday", "Start a step.",
        ("slipway task start 7f3a join", "slipway task start @latest low"),
    ),
    Entry(
        "task stop", "Everyday", "Stop a step.",
        ("slipway task stop 7f3a join", "slipway task stop @latest low"),
    ),
    Entry(
        "task restart", "Everyday", "Run a step again, with all that needs it.",
        ("slipway task restart 7f3a join", "slipway task restart @latest low"),
    ),
    Entry(
        "scale", "Everyday", "Change how many virtual users an execution has.",
        ("slipway scale 7f3a 100", "slipway scale @latest 10"),
    ),
    Entry(
        "metrics", "Everyday", "Show the figures that an execution measures.",
        ("slipway metrics 7f3a", "slipway metrics @latest -w"),
    ),
    Entry(
        "open", "Everyday", "Open the service, or an execution, in a browser.",
        ("slipway open", "slipway open @latest"),
    ),
    # Workflows
    Entry(
        "workflows", "Workflows", "List the workflows that you can launch.",
        ("slipway workflows", "slipway workflows -o name"),
        ("wf", "wf list", "wf ls", "wf l"),
    ),
    Entry(
        "show", "Workflows", "Explain a workflow: inputs, steps, and how to run it.",
        ("slipway show diamond", "slipway show diamond -o json --query inputs"),
        ("wf show",),
    ),
    Entry(
        "upload", "Workflows", "Put a definition where others can launch it.",
        ("slipway upload flow.yaml", "slipway upload flow.yaml && slipway run flow -f"),
    ),
    Entry(
        "delete", "Workflows", "Remove workflows that were uploaded.",
        ("slipway delete flow", "slipway delete flow night --yes"),
    ),
    Entry(
        "validate", "Workflows", "Check a definition; every fault is shown at its place.",
        ("slipway validate flow.yaml", "slipway validate flow.yaml && slipway try flow.yaml"),
    ),
    Entry(
        "try", "Workflows", "Run a definition here and now, without a service.",
        ("slipway try flow.yaml", "slipway try flow.yaml -i n=10"),
        file="try_",
    ),
    # Keys
    Entry(
        "keys", "Keys", "Make, list and revoke SSH keys.",
        ("slipway keys create --out key.pub", "slipway keys"),
        ("k", "ssh_keys"),
    ),
    Entry(
        "keys create", "Keys", "Make an SSH key, and show its line for authorized_keys.",
        ("slipway keys create", "slipway keys create --out key.pub --meta machine=n01"),
    ),
    Entry(
        "keys list", "Keys", "List your SSH keys.",
        ("slipway keys list", "slipway keys list -o json"),
        ("keys ls",),
    ),
    Entry(
        "keys test", "Keys", "Find out whether an SSH key logs in to a cluster.",
        ("slipway keys test 9c1e", "slipway keys test 9c1e --orchestrator hpc1"),
    ),
    Entry(
        "keys rotate", "Keys", "Replace an SSH key by a new one, once that logs in.",
        ("slipway keys rotate 9c1e", "slipway keys rotate 9c1e -o json"),
    ),
    Entry(
        "keys revoke", "Keys", "Revoke SSH keys.",
        ("slipway keys revoke 9c1e", "slipway keys revoke 9c1e 77aa --yes"),
        ("keys delete",),
    ),
    Entry(
        "api-keys", "Keys", "Make, list and revoke API keys, with which programs sign in.",
        ("slipway api-keys create nightly", "slipway api-keys"),
    ),
    Entry(
        "api-keys create", "Keys", "Make an API key; it is shown only now.",
        ("slipway api-keys create nightly",
         "slipway api-keys create nightly --scope executions:write --expires-in 720h"),
    ),
    Entry(
        "api-keys list", "Keys", "List your API keys.",
        ("slipway api-keys list", "slipway api-keys list -o json"),
        ("api-keys ls",),
    ),
    Entry(
        "api-keys revoke", "Keys", "Revoke API keys.",
        ("slipway api-keys revoke 4b7d", "slipway api-keys revoke 4b7d 90aa --yes"),
        ("api-keys delete",),
    ),
    # Account
    Entry(
        "login", "Account", "Sign in to a service, and remember it.",
        ("slipway login https://slipway.example.org", "slipway login --oidc"),
    ),
    Entry(
        "logout", "Account", "Forget a login.",
        ("slipway logout", "slipway logout --profile test"),
    ),
    Entry(
        "whoami", "Account", "Say who you are to the service, and where the login is from.",
        ("slipway whoami", "slipway whoami -o json"),
    ),
    Entry(
        "profiles", "Account", "List the logins that are kept, and choose one.",
        ("slipway profiles", "slipway profiles use test"),
    ),
    Entry(
        "profiles list", "Account", "List the logins that are kept.",
        ("slipway profiles list", "slipway profiles -o json"),
        ("profiles ls",),
    ),
    Entry(
        "profiles use", "Account", "Choose the login that counts from now on.",
        ("slipway profiles use test", "slipway profiles use default"),
    ),
    Entry(
        "profiles remove", "Account", "Forget logins, and the addresses that they are for.",
        ("slipway profiles remove test", "slipway profiles remove test old"),
        ("profiles rm",),
    ),
    Entry(
        "passwd", "Account", "Change your password.",
        ("slipway passwd", "slipway passwd --password-stdin < new.txt"),
    ),
    Entry(
        "doctor", "Account", "Check the way to the service; each fault with its fix.",
        ("slipway doctor", "slipway doctor --url https://slipway.example.org"),
    ),
    Entry(
        "completion", "Account", "Print what makes a shell complete words at TAB.",
        ('eval "$(slipway completion bash)"',
         "slipway completion fish > ~/.config/fish/completions/slipway.fish"),
    ),
    Entry(
        "man", "Account", "Print a page of the manual, or write all of them.",
        ("slipway man run | man -l -", "slipway man --write ~/.local/share/man/man1"),
    ),
    Entry(
        "version", "Account", "Show the versions of this program and of the service.",
        ("slipway version", "slipway version -o json"),
    ),
    # The words of waas, the command line of eFlows4HPC, with its output
    Entry(
        "wf trigger", "Workflows", "Launch a workflow, as waas does.",
        ("slipway wf trigger diamond -i n=10", "slipway wf trigger diamond -l"),
        ("wf run", "wf r", "wf t"), shown=False, file="legacy",
    ),
    Entry(
        "exec status", "Everyday", "Show a status, as waas does.",
        ("slipway exec status 7f3a", "slipway exec status 7f3a -o json"),
        ("exec stat", "exec get", "exec g", "exec s"), shown=False, file="legacy",
    ),
    Entry(
        "exec logs", "Everyday", "Print a log, as waas does.",
        ("slipway exec logs 7f3a", "slipway exec logs 7f3a -f"),
        ("exec log", "exec l"), shown=False, file="legacy",
    ),
    Entry(
        "keys key-gen", "Keys", "Make an SSH key, as waas does.",
        ("slipway ssh_keys key-gen", "slipway ssh_keys key-gen -m cluster=hpc1"),
        ("keys gen", "keys gen-key", "keys g"), shown=False, file="legacy",
    ),
    # Service: what operators ask it for
    Entry(
        "nodes", "Service", "List the machines that run steps.",
        ("slipway nodes", "slipway nodes -o json"),
        ("node list", "node ls"),
    ),
    Entry(
        "node", "Service", "Take a machine out of use, or back into it.",
        ("slipway node drain n01", "slipway node undrain n01"),
    ),
    Entry(
        "node drain", "Service", "Let a machine finish what it runs, and begin nothing.",
        ("slipway node drain n01", "slipway node drain n01 -o json"),
    ),
    Entry(
        "node undrain", "Service", "Let a machine begin steps again.",
        ("slipway node undrain n01", "slipway node undrain n01 -o json"),
    ),
    Entry(
        "abandon", "Service", "End executions whose machine is gone for good.",
        ("slipway abandon 7f3a", "slipway abandon --machine box-a"),
        local=("", "--config", "--data-dir", "--machine"),
    ),
    Entry(
        "purge", "Service", "Remove for good what has ended.",
        ("slipway purge 7f3a", "slipway purge --older-than 90d --dry-run"),
        local=("--config", "--data-dir", "--older-than", "--what", "--dry-run"),
    ),
    # Service: its own commands
    Entry(
        "demo", "Service", "Show the main job from end to end, on a service of its own.",
        ("slipway demo", "slipway demo --n 3000000"), service=True,
    ),
    Entry(
        "init", "Service", "Write a commented configuration and example workflows.",
        ("slipway init tour", "slipway serve --config tour/slipway.yaml"), service=True,
    ),
    Entry(
        "serve", "Service", "Run the whole service on this machine.",
        ("slipway serve", "slipway serve --config slipway.yaml --port 8443"),
        ("server", "master"), service=True,
    ),
    Entry(
        "web", "Service", "Answer HTTP; as many as you like, on as many machines.",
        ("slipway web --config slipway.yaml", "slipway web --port 8081"), service=True,
    ),
    Entry(
        "conductor", "Service", "Drive executions; as many as you like, on as many machines.",
        ("slipway conductor --config slipway.yaml", "slipway conductor"), service=True,
    ),
    Entry(
        "slave", "Service", "Run virtual users for a master.",
        ("slipway slave start --master http://10.0.0.1:8080", "slipway slave start --help"),
        service=True,
    ),
    Entry(
        "migrate", "Service", "Bring the database to this version.",
        ("slipway migrate", "slipway migrate --config slipway.yaml"), service=True,
    ),
    Entry(
        "user", "Service", "Add, change and remove users.",
        ("slipway user add ana --role developer", "slipway user list"), service=True,
    ),
    Entry(
        "api-key", "Service", "Make, list and revoke API keys of anybody.",
        ("slipway api-key create --owner ana --name nightly", "slipway api-key list"),
        service=True,
    ),
    Entry(
        "auth", "Service", "Replace the key that signs tokens.",
        ("slipway auth rotate-key", "slipway auth rotate-key --at-once"), service=True,
    ),
    Entry(
        "check-config", "Service", "Check the settings without starting anything.",
        ("slipway check-config", "slipway check-config --config slipway.yaml"), service=True,
    ),
    Entry(
        "config-docs", "Service", "Print the manual of the settings.",
        ("slipway config-docs", "slipway config-docs > configuration.md"), service=True,
    ),
    Entry(
        "hash-password", "Service", "Hash a password for the configuration.",
        ("slipway hash-password", "slipway hash-password < password.txt"), service=True,
    ),
    Entry(
        "import-workflows", "Service", "Move workflow definitions from files into the store.",
        ("slipway import-workflows", "slipway import-workflows --config slipway.yaml"),
        service=True,
    ),
    Entry(
        "openapi", "Service", "Print the OpenAPI document.",
        ("slipway openapi", "slipway openapi --write openapi"), service=True,
    ),
)  # fmt: skip
"""In the order in which they are shown."""

PREFIXES: Final = {
    "k": "keys", "key": "keys", "ssh_keys": "keys", "e": "exec", "execution": "exec",
    "executions": "exec", "w": "wf", "workflow": "wf", "workflows": "wf",
}  # fmt: skip
"""First words of before, and what they stand for where a second one follows."""

BY_NAME: Final = {
    **{alias: entry for entry in TABLE for alias in entry.aliases},
    **{entry.name: entry for entry in TABLE},
}


def find(words: str) -> Entry | None:
    """Return the entry of a name or an alias; None where there is none."""
    first, space, second = words.partition(" ")
    return BY_NAME.get(words) or BY_NAME.get(PREFIXES.get(first, first) + space + second)


def members(first: str) -> dict[str, Entry]:
    """Return what may follow a first word: names and aliases without it."""
    start = PREFIXES.get(first, first) + " "
    return {
        name.removeprefix(start): entry for name, entry in BY_NAME.items() if name.startswith(start)
    }
