import pytest
from kit.clock import Clock

from app.domain import Identity, Role
from app.services.rate_limits import Policy, RateLimited, RateLimits
from app.settings import Allowances
from app.windows import MemoryWindows

ADA = Identity("ada", frozenset({Role.USER}))
EVERYBODY = Identity("anonymous", frozenset(Role), shared=True)
REQUESTS = [Policy.REQUESTS]


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def make_limits(make_settings, clock):
    def make(share=1, **settings):
        settings = {"api__rate_limit__requests_per_minute": 6, **settings}
        allowances = Allowances(make_settings(**settings))
        return RateLimits(MemoryWindows(clock=clock), allowances, share)

    return make


def most(limits, identity=ADA, address="10.0.0.1", policies=REQUESTS, cost=1):
    for number in range(1000):
        try:
            limits.take(policies, cost, identity, address)
        except RateLimited:
            return number
    return None


def test_nobody_is_limited_where_no_limit_is_set(make_limits):
    limits = make_limits(api__rate_limit__requests_per_minute=None)
    assert most(limits) is None
    assert limits.take(REQUESTS, 1, ADA, None) == ()


def test_a_user_is_one_whatever_the_address(make_limits):
    limits = make_limits()
    assert most(limits, address="10.0.0.1") == 6
    assert most(limits, address="10.0.0.2") == 0
    assert most(limits, Identity("bob", frozenset())) == 6


@pytest.mark.parametrize("who", [None, EVERYBODY])
def test_without_a_user_the_address_counts_and_a_network_of_ipv6_is_one(make_limits, who):
    limits = make_limits()
    assert most(limits, who, "2001:db8::1") == 6
    assert most(limits, who, "2001:db8::2") == 0
    assert most(limits, who, "2001:db8:0:1::1") == 6
    assert most(limits, who, "10.0.0.1") == 6
    assert most(limits, who, "::ffff:10.0.0.1") == 0


def test_a_user_is_never_taken_for_an_address_nor_the_other_way_round(make_limits):
    limits = make_limits()
    assert most(limits, Identity("10.0.0.1", frozenset())) == 6
    assert most(limits, None, "10.0.0.1") == 6


def test_garbage_for_an_address_is_one_client(make_limits):
    limits = make_limits()
    assert most(limits, None, "unknown") == 6
    assert [most(limits, None, text) for text in ("", None, "[::1%lo]x", "x" * 300)] == [0] * 4


def test_long_polls_are_counted_apart_and_may_be_ten_times_as_many(make_limits):
    limits = make_limits()
    assert most(limits, policies=[Policy.POLLS]) == 60
    assert most(limits) == 6


def test_launches_have_a_limit_of_their_own_and_are_requests_too(make_limits):
    limits = make_limits(api__rate_limit__launches_per_minute=2)
    both = [Policy.REQUESTS, Policy.LAUNCHES]
    assert most(limits, policies=both) == 2
    assert most(limits) == 4


def test_a_launch_counts_once_among_launches_whatever_it_costs_among_requests(make_limits):
    limits = make_limits(
        api__rate_limit__launches_per_minute=4, api__rate_limit__requests_per_minute=30
    )
    assert most(limits, policies=(Policy.REQUESTS, Policy.LAUNCHES), cost=10) == 3
    assert most(limits, policies=(Policy.LAUNCHES,), cost=10) == 1


def test_the_refusal_names_the_policies_that_refuse_and_when_they_would_not(make_limits, clock):
    limits = make_limits(api__rate_limit__launches_per_minute=1)
    both = [Policy.REQUESTS, Policy.LAUNCHES]
    limits.take(both, 1, ADA, None)
    with pytest.raises(RateLimited) as refused:
        limits.take(both, 1, ADA, None)
    assert refused.value.policies == ("launches",)
    requests, launches = refused.value.standings
    assert (requests.policy, requests.quota, requests.remaining) == ("default", 6, 5)
    assert (launches.policy, launches.quota, launches.remaining) == ("launches", 1, 0)
    assert refused.value.retry_after_seconds <= launches.seconds <= 61
    clock.now += launches.seconds
    limits.take(both, 1, ADA, None)


def test_the_seconds_are_whole_and_at_least_one(make_limits, clock):
    limits = make_limits(api__rate_limit__requests_per_minute=6000)
    assert most(limits, cost=100) == 60
    for _ in range(200):
        most(limits)
        with pytest.raises(RateLimited) as refused:
            limits.take(REQUESTS, 1, ADA, None)
        assert isinstance(refused.value.standings[0].seconds, int)
        assert refused.value.standings[0].seconds >= 1
        assert refused.value.retry_after_seconds >= 1
        clock.now += 0.37


def test_what_costs_more_than_the_limit_can_still_be_had(make_limits):
    assert most(make_limits(api__rate_limit__requests_per_minute=3), cost=5) == 1


def test_processes_that_count_for_themselves_share_the_limit_and_each_gives_at_least_one(
    make_limits,
):
    assert most(make_limits(share=4)) == 1
    assert most(make_limits(share=2)) == 3
    assert most(make_limits(share=64)) == 1


def test_a_role_may_have_another_limit_and_of_several_the_largest_counts(make_limits):
    limits = make_limits(
        quotas__operator__requests_per_minute=9,
        quotas__developer__requests_per_minute=2,
    )
    assert most(limits, Identity("o", frozenset({Role.OPERATOR, Role.DEVELOPER}))) == 9
    assert most(limits, Identity("d", frozenset({Role.USER, Role.DEVELOPER}))) == 2
    assert most(limits, Identity("u", frozenset({Role.USER}))) == 6
    assert most(limits, None) == 6


def test_nobody_is_refused_and_nothing_is_told_when_nobody_knows(make_settings):
    class Unknown:
        def take(self, demands):
            return None

    limits = RateLimits(
        Unknown(), Allowances(make_settings(api__rate_limit__requests_per_minute=1))
    )
    assert [limits.take(REQUESTS, 1, ADA, None) for _ in range(3)] == [()] * 3
