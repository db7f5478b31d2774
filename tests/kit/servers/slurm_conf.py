"""The configuration of a Slurm cluster of the tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kit.ports import free_port

HOST = "login"
"""Name of the machine that all of a cluster is on."""


@dataclass(frozen=True)
class SlurmOptions:
    """What a cluster is like.

    Attributes:
        nodes: How many compute nodes it has: ``node1`` and so on; the first has two GPUs.
        cpus, memory_mb: What each of them has, which is made up.
        accounting: It has a database, and an administrator who is not root.
        min_job_age: Seconds that an ended job stays in the queue at least.
        first_job_id, max_job_id: The numbers of jobs; they come again beyond the last.
        enforced: Only the plain users may submit, and only as the account ``lab``.
        more: More lines of ``slurm.conf``.
        sshd: More lines of ``sshd_config``.
    """

    nodes: int = 3
    cpus: int = 4
    memory_mb: int = 4000
    accounting: bool = True
    min_job_age: int = 300
    first_job_id: int = 1
    max_job_id: int = 0x03FF0000
    enforced: bool = False
    more: tuple[str, ...] = ()
    sshd: tuple[str, ...] = ()


class SlurmPorts:
    """The ports of one cluster."""

    def __init__(self, options: SlurmOptions) -> None:
        self.sshd, self.slurmctld, self.slurmdbd, self.mariadbd = (free_port() for _ in range(4))
        self.nodes = {f"node{number + 1}": free_port() for number in range(options.nodes)}


def slurm_conf(name: str, folder: Path, options: SlurmOptions, ports: SlurmPorts) -> str:
    """Return ``slurm.conf``.

    All is faster than on a real cluster: jobs are begun at once, and killed soon; nodes that are
    silent are noticed within seconds. Jobs of ``urgent`` push those of ``scrap`` back into the
    queue, and end those of ``brief``.
    """
    last = f"node{options.nodes}"
    lines = [
        f"ClusterName={name}",
        f"SlurmctldHost={HOST}(127.0.0.1)",
        f"SlurmctldPort={ports.slurmctld}",
        "CommunicationParameters=NoInAddrAny,NoCtldInAddrAny",
        "SlurmUser=slurm",
        f"AuthInfo=socket={munge_socket(folder)}",
        f"StateSaveLocation={folder}/state",
        f"SlurmdSpoolDir={folder}/spool/%n",
        f"SlurmctldPidFile={folder}/state/slurmctld.pid",
        f"SlurmdPidFile={folder}/spool/%n/pid",
        f"SlurmctldLogFile={folder}/state/slurmctld.log",
        f"SlurmdLogFile={folder}/spool/%n/log",
        "SlurmdParameters=config_overrides",
        "ProctrackType=proctrack/linuxproc",
        "TaskPlugin=task/none",
        "SelectType=select/cons_tres",
        "SelectTypeParameters=CR_CPU_Memory",
        (
            "SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2,"
            "requeue_delay=0,bf_continue,default_queue_depth=2000,sched_min_interval=0"
        ),
        "PreemptType=preempt/partition_prio",
        "PreemptMode=REQUEUE",
        f"MinJobAge={options.min_job_age}",
        f"FirstJobId={options.first_job_id}",
        f"MaxJobId={options.max_job_id}",
        "MaxArraySize=100001",
        "MaxJobCount=200000",
        "KillWait=2",
        "SlurmdTimeout=9",
        "InactiveLimit=0",
        "ReturnToService=2",
        "JobAcctGatherType=jobacct_gather/linux",
        "JobAcctGatherFrequency=task=1",
        "JobAcctGatherParams=OverMemoryKill",
        "GresTypes=gpu",
        *(
            f"NodeName={node} NodeAddr=127.0.0.1 NodeHostname={HOST} Port={port}"
            f" CPUs={options.cpus} RealMemory={options.memory_mb}"
            f" Feature=intel,{node}{' Gres=gpu:2' if node == 'node1' else ''}"
            for node, port in ports.nodes.items()
        ),
        (
            "PartitionName=main Nodes=ALL Default=YES DefaultTime=10 MaxTime=60 DefMemPerCPU=100"
            " PriorityTier=5 PreemptMode=OFF"
        ),
        (
            f"PartitionName=long Nodes={last} MaxTime=INFINITE DefMemPerCPU=100 PreemptMode=OFF"
            " PriorityTier=5"
        ),
        "PartitionName=urgent Nodes=ALL DefMemPerCPU=100 PriorityTier=10 PreemptMode=OFF",
        f"PartitionName=scrap Nodes={last} DefMemPerCPU=100 PreemptMode=REQUEUE",
        f"PartitionName=brief Nodes={last} DefMemPerCPU=100 PreemptMode=CANCEL",
        *options.more,
    ]
    if options.accounting:
        lines += [
            "AccountingStorageType=accounting_storage/slurmdbd",
            "AccountingStorageHost=127.0.0.1",
            f"AccountingStoragePort={ports.slurmdbd}",
            f"AccountingStoragePass={munge_socket(folder)}",
            "AccountingStorageTRES=gres/gpu",
        ]
    if options.enforced:
        lines.append("AccountingStorageEnforce=associations,limits")
    return "\n".join([*lines, ""])


def gres_conf(folder: Path) -> str:
    """Return ``gres.conf``: GPUs that are files."""
    return f"NodeName=node1 Name=gpu File={folder}/gpu[0-1]\n"


def slurmdbd_conf(folder: Path, ports: SlurmPorts) -> str:
    """Return ``slurmdbd.conf``; the database takes anybody."""
    return f"""
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={ports.slurmdbd}
CommunicationParameters=NoInAddrAny
SlurmUser=slurm
AuthInfo=socket={munge_socket(folder)}
PidFile={folder}/state/slurmdbd.pid
LogFile={folder}/state/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={ports.mariadbd}
StorageUser=slurm
StoragePass=any
"""


def sshd_config(folder: Path, port: int, options: SlurmOptions) -> str:
    """Return ``sshd_config``: keys only, for everybody but root."""
    lines = [
        *options.sshd,  # the first value counts
        f"ListenAddress 127.0.0.1:{port}",
        f"HostKey {folder}/sshd/host_key",
        "PidFile none",
        "UsePAM no",
        "UseDNS no",
        "LogLevel VERBOSE",
        "AuthenticationMethods publickey",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "PermitRootLogin no",
        "MaxStartups 100:30:300",
        f"SetEnv SLURM_CONF={folder}/slurm.conf",
        "Subsystem sftp internal-sftp",
    ]
    return "\n".join([*lines, ""])


def munge_socket(folder: Path) -> Path:
    """Return where munged listens."""
    return folder / "munge" / "socket"
