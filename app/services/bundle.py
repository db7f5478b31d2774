"""All services of one application, as the resources get at them."""

from __future__ import annotations

from dataclasses import dataclass

from app.identity.authenticators import Authenticators
from app.metrics import Metrics
from app.services.access import Access
from app.services.api_keys import ApiKeyService
from app.services.audit import Audit
from app.services.choices import ChoiceService
from app.services.comparing import ComparisonService
from app.services.definition_texts import DefinitionTexts
from app.services.digest import DigestService
from app.services.events import EventService
from app.services.executions import ExecutionService
from app.services.follow import FollowService
from app.services.graphs import GraphService
from app.services.health import HealthService
from app.services.key_requests import KeyRequests
from app.services.launching import LaunchService
from app.services.load_metrics import LoadMetricsService
from app.services.log_search import LogSearch
from app.services.logs import LogService
from app.services.nodes import NodeService
from app.services.numbers import NumberChecker
from app.services.operations import OperationService
from app.services.orchestrators import OrchestratorService
from app.services.places import Places
from app.services.purging import PurgeService
from app.services.rate_limits import RateLimits
from app.services.sessions import SessionService
from app.services.slave_hub import SlaveHub
from app.services.ssh_keys import SshKeyService
from app.services.standing import StandingService
from app.services.standing_follow import StandingFollowService
from app.services.steering import SteeringService
from app.services.submissions import SubmissionService
from app.services.submitted import SubmittedService
from app.services.support import SupportService
from app.services.system import SystemService
from app.services.tasks import TaskService
from app.services.tickets import TicketService
from app.services.tokens import TokenService
from app.services.topics import TopicService
from app.services.turns import Turns
from app.services.users import UserService
from app.services.workflows import WorkflowService
from app.settings import Settings


@dataclass(frozen=True, slots=True)
class Services:
    """The services.

    Attributes:
        turns: Of those who read much.
        refusals: Of those who are refused before it is known who they are.
        slaves: The slaves that this process holds; None where nothing has work for any.
    """

    settings: Settings
    workflows: WorkflowService
    executions: ExecutionService
    launching: LaunchService
    submissions: SubmissionService
    submitted: SubmittedService
    steering: SteeringService
    purging: PurgeService
    tasks: TaskService
    standing: StandingService
    standing_follow: StandingFollowService
    logs: LogService
    log_search: LogSearch
    digests: DigestService
    comparisons: ComparisonService
    definition_texts: DefinitionTexts
    support: SupportService
    choices: ChoiceService
    graphs: GraphService
    follow: FollowService
    load_metrics: LoadMetricsService
    nodes: NodeService
    orchestrators: OrchestratorService
    events: EventService
    topics: TopicService
    places: Places
    turns: Turns
    refusals: Turns
    slaves: SlaveHub | None
    tickets: TicketService
    ssh_keys: SshKeyService
    key_requests: KeyRequests
    health: HealthService
    numbers: NumberChecker
    operations: OperationService
    authenticators: Authenticators
    access: Access
    rate_limits: RateLimits
    metrics: Metrics
    audit: Audit
    users: UserService
    api_keys: ApiKeyService
    tokens: TokenService
    sessions: SessionService
    system: SystemService
