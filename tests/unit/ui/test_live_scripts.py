"""What scripts make of what comes live, run by Node where there is one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from app.ui._assets import STATIC

Run = Callable[[str], Any]

_MEANS = """
const load = (name) => import(JS + name);
const until = async (holds) => {
  while (!holds()) await new Promise((done) => { setTimeout(done, 5); });
};
const isJson = { headers: { "Content-Type": "application/json" } };
"""

_LATE = """
const { Core } = await load("core.js");
const topic = "execution/1";
const streams = [];
globalThis.fetch = async (url, { signal }) => {
  let controller;
  const body = new ReadableStream({ start(made) { controller = made; } });
  signal.addEventListener("abort", () => controller.error(signal.reason));
  const write = (type, fields) => {
    const data = JSON.stringify(fields);
    controller.enqueue(new TextEncoder().encode(`event: ${type}\\ndata: ${data}\\n\\n`));
  };
  streams.push({ write });
  write("opened", { heartbeat: 15 });
  return new Response(body);
};
const core = new Core();
const join = () => {
  const client = { told: [], marks: [] };
  client.say = core.join((message) => {
    if (message.kind === "state") client.marks.push(message.state.mark);
    if (message.kind === "events") client.told.push(...message.events.map(([, { type }]) => type));
  });
  return client;
};
const want = (client) =>
  client.say({ kind: "want", topics: [[topic, null]], fresh: [topic], number: 1 });
const early = join();
want(early);
await until(() => streams.length === 1);
streams[0].write("status", { topic, state: "RUNNING" });
await until(() => early.told.length === 1);
const late = join();
late.marks.length = 0;
want(late);
streams[0].write(LAST, { topic, status: 404 });
await until(() => streams.length === 2 || late.marks.includes("idle"));
streams[1]?.write("status", { topic, state: "SUCCESS" });
streams[1]?.write("end", { topic, state: "SUCCESS" });
await until(() => late.told.includes("end") || late.marks.includes("idle"));
core.close();
console.log(JSON.stringify([early.told.slice(0, 2), late.told]));
"""

_DROPPED = """
const { hub } = await load("hub.js");
const { Following } = await load("log/following.js");
let tell;
hub.follow = (topic, options, callback) => { tell = callback; return () => {}; };
const asked = new Map();
globalThis.fetch = (url) => new Promise((answer) => {
  const index = Number(new URL(url, "http://x").searchParams.get("index"));
  asked.set(index, (from) => answer(new Response(JSON.stringify({ from }), isJson)));
});
const told = [];
const following = new Following("1", "/executions/1/logs", {
  onEntries: (place, entries) => told.push([place, ...entries.map((each) => each.index)]),
  onTotal: (total) => told.push(total),
});
following.start({ levels: 8 }, 2, 4);
tell([{ type: "dropped", next: 10 }, { type: "log", entries: [{ index: 11 }] }]);
tell([{ type: "dropped", next: 20 }, { type: "log", entries: [{ index: 20 }] }]);
await until(() => asked.size === 2);
for (const [index, from] of ANSWERS) {
  asked.get(index)(from);
  await new Promise((done) => { setTimeout(done, 50); });
}
tell([{ type: "log", entries: [{ index: 21 }] }]);
console.log(JSON.stringify(told));
"""

_AGAIN = """
const { ApiError } = await load("api.js");
const { Entries } = await load("log/entries.js");
let reads = 0;
const troubles = [];
const read = async () => {
  reads += 1;
  if (reads === 1) throw new ApiError(401, "not_authenticated", "Sign in.");
  return { logs: [{ index: 0, content: "a" }], total_results: 1, complete: true };
};
const onTrouble = (text) => troubles.push(text);
const entries = new Entries(read, { onRead: () => {}, onTrouble });
entries.want(0, 1, 1);
await until(() => troubles.length === 1);
entries.want(0, 1, 1);
await new Promise((done) => { setTimeout(done, 100); });
const before = reads;
entries.retry();
await until(() => troubles.length === 2);
console.log(JSON.stringify([before, reads, troubles, entries.at(0).content]));
"""

_COUNTED = """
const { Search, countOf } = await load("log/search.js");
const entry = { index: 7, content: "a" };
const answers = [[null, 1, false], [null, 1, true], [1, 1, true], [1, 1, true]];
globalThis.fetch = async () => {
  const [number, total, exact] = answers.shift();
  const found = { match: { entry, from: 7, number }, total_results: total, total_is_exact: exact };
  return new Response(JSON.stringify(found), isJson);
};
const told = [];
const search = new Search("/executions/1/logs", () => ({}));
await search.count({ text: "a" }, 7, (found) => told.push(countOf(found)));
console.log(JSON.stringify(told));
"""


_BUSY = """
const { Search } = await load("log/search.js");
const busy = (status) => new Response("{}", { status, headers: { "Retry-After": "0" } });
const left = [...STATUSES];
let asked = 0;
globalThis.fetch = async () => {
  asked += 1;
  const found = { match: null, go_on_from: null, total_results: 0, total_is_exact: true };
  return left.length ? busy(left.shift()) : new Response(JSON.stringify(found), isJson);
};
const search = new Search("/executions/1/logs", () => ({}));
const outcome = await search.find({ text: "a" }, "next", -1, () => {}).then(
  () => "answered", (error) => error.status);
console.log(JSON.stringify([asked, outcome]));
"""


def script(text: str, **values: Any) -> str:
    names = {"JS": f"{(STATIC / 'js').as_uri()}/", **values}
    return (
        "".join(f"const {name} = {json.dumps(value)};" for name, value in names.items())
        + _MEANS
        + text
    )


@pytest.mark.parametrize("last", ["end", "expired", "refused"])
def test_who_comes_while_a_topic_ends_is_told_all_of_it(in_node: Run, last: str) -> None:
    """What the stream of before says last is not for them: they never hear of it."""
    assert in_node(script(_LATE, LAST=last)) == [["status", last], ["status", "end"]]


@pytest.mark.parametrize("answers", [[(10, 3), (20, 9)], [(20, 9), (10, 3)]])
def test_of_two_gaps_in_a_log_the_last_one_counts(in_node: Run, answers: Any) -> None:
    assert in_node(script(_DROPPED, ANSWERS=answers)) == [9, [9, 20], [10, 21]]


def test_a_log_is_read_on_after_signing_in_again(in_node: Run) -> None:
    assert in_node(script(_AGAIN)) == [1, 2, ["Sign in.", ""], "a"]


def test_it_is_counted_until_also_the_number_of_what_was_found_is_known(in_node: Run) -> None:
    assert in_node(script(_COUNTED)) == ["1+ found", "1 found", "1 of 1"]


@pytest.mark.parametrize(
    ("statuses", "outcome"),
    [([429, 503], [3, "answered"]), ([503] * 9, [5, 503]), ([422], [1, 422])],
)
def test_a_search_goes_on_when_the_service_has_time_for_it_again(
    in_node: Run, statuses: list[int], outcome: list[Any]
) -> None:
    assert in_node(script(_BUSY, STATUSES=statuses)) == outcome
