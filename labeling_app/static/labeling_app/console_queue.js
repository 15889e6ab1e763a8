// The examples that this labeler holds: a few ahead, so that the next is there at once; kept alive while one works.

import { makeShelf } from "./console_storage.js";
import { NotReached, Refused, SignedOut } from "./console_transport.js";

const AHEAD = 3; // examples in hand, the one that is shown included
const AHEAD_FAST = 6; // of somebody who answers in seconds: they would wait for the network otherwise
const FAST_PER_HOUR = 240;
const ENDED = ["session_ended", "unknown_session"];

/**
 * `answered()` gives the leases whose answers are not sent yet; `rebind(task)` gives such an answer a new lease and
 * tells whether there is one; `changed(what)` is called when tasks came ("tasks") or
 * when it is known why there are none ("empty").
 */
export function makeQueue({ queueId, person, sessionType, leaseS, request, answered, rebind, changed }) {
  let session = null;
  let tasks = [];
  let fetching = null;
  const queue = { progress: null, why: null, code: "", perHour: null, unreached: false, signedOut: false };
  const shelf = makeShelf(`golden-labeling.${person}.order.`);
  const done = new Set(); // leases that were answered here: never drawn again, whatever the server still says

  queue.current = () => tasks[0] || null;
  queue.waiting = () => tasks.slice(1);
  queue.hold = () => [...new Set([...tasks.map((task) => task.lease), ...answered()])].slice(0, 20);
  queue.lacking = () => Math.max(0, (queue.perHour > FAST_PER_HOUR ? AHEAD_FAST : AHEAD) - tasks.length);
  queue.session = () => session;

  /** Take in what a request brought. */
  queue.take = (answer) => {
    if (answer.progress) queue.progress = answer.progress;
    if (ENDED.includes(answer.code)) {
      session = null; // it ended by itself: the next request starts another
      return;
    }
    const held = new Set([...tasks.map((task) => task.lease), ...answered()]);
    const fresh = (answer.tasks || []).filter((task) => !held.has(task.lease) && !done.has(task.lease) && !isKnown(task));
    // after a reload they come in the order in which they were in hand, the one that was shown first
    const before = shelf.get(queueId) || [];
    const place = (task) => (before.includes(task.lease) ? before.indexOf(task.lease) : before.length);
    tasks.push(...fresh.sort((a, b) => place(a) - place(b)));
    if (fresh.length) {
      keepOrder();
      queue.why = null;
      changed("tasks");
    } else if (answer.why) {
      queue.why = answer.why;
      queue.code = answer.code || "nothing_left";
      if (!tasks.length) changed("empty");
    }
  };

  /** Whether an example is in hand, or answered, under a lease that ended: then the new lease takes its place. */
  function isKnown(task) {
    const inHand = tasks.find((one) => one.example === task.example);
    if (inHand) Object.assign(inHand, { lease: task.lease, expires_at: task.expires_at });
    return Boolean(inHand) || rebind(task);
  }

  function keepOrder() {
    shelf.put(queueId, tasks.map((task) => task.lease));
  }

  /** The example that is shown was answered; the next one is the first. */
  queue.advance = () => {
    const [task] = tasks.splice(0, 1);
    if (task) done.add(task.lease);
    keepOrder();
    return task;
  };

  /** Put an example in front: one that is to be corrected. */
  queue.putFirst = (task) => {
    done.delete(task.lease);
    tasks = [task, ...tasks.filter((one) => one.lease !== task.lease)];
    keepOrder();
    changed("tasks");
  };

  /** Put an example behind the one that is shown: hands that are about to answer that must not meet another. */
  queue.putNext = (task) => {
    const [first, ...rest] = tasks.filter((one) => one.lease !== task.lease);
    if (!first) {
      queue.putFirst(task);
      return;
    }
    done.delete(task.lease);
    tasks = [first, task, ...rest];
    keepOrder();
  };

  /** Fetch one example again that this labeler holds, and hand it to `put`. Returns whether it came. */
  queue.recover = async (lease, put = queue.putFirst) => {
    done.delete(lease);
    if (!session) await queue.start();
    const others = queue.hold().filter((one) => one !== lease);
    const answer = await request("POST", `sessions/${session}/next`, { count: 20, hold: others });
    const found = answer.tasks.find((task) => task.lease === lease);
    queue.take({ ...answer, tasks: answer.tasks.filter((task) => task !== found) });
    if (found) put(found);
    return Boolean(found);
  };

  /** Start a session, or go on with the one that is open. */
  queue.start = async () => {
    const answer = await request("POST", `queues/${queueId}/sessions`, { session_type: sessionType });
    session = answer.session;
    queue.progress = answer.progress;
  };

  /** Fetch as many as are lacking. One request at a time. */
  queue.fill = () => {
    fetching = fetching || filled().finally(() => (fetching = null));
    return fetching;
  };

  async function filled(tries = 3) {
    const count = queue.lacking();
    if (!count) return;
    try {
      if (!session) await queue.start();
      queue.take(await request("POST", `sessions/${session}/next`, { count, hold: queue.hold() }));
      queue.unreached = false;
      queue.signedOut = false;
    } catch (error) {
      await failed(error, tries);
    }
  }

  async function failed(error, tries) {
    if (error instanceof SignedOut) queue.signedOut = true;
    else if (error instanceof NotReached) queue.unreached = true;
    else if (error instanceof Refused) {
      if (ENDED.includes(error.code) && tries > 1) {
        session = null;
        return filled(tries - 1);
      }
      queue.why = [error.message, error.hint].filter(Boolean).join(" ");
      queue.code = error.code;
    } else throw error;
    changed("empty");
    return undefined;
  }

  /** Tell the server that somebody is there; returns whether the example that is shown is held still. */
  queue.beat = async () => {
    if (!session || document.hidden) return true;
    try {
      const { held } = await request("POST", `sessions/${session}/heartbeat`);
      const still = new Set(held);
      const [first, ...rest] = tasks;
      tasks = [...(first ? [first] : []), ...rest.filter((task) => still.has(task.lease))];
      return !first || still.has(first.lease) || answered().includes(first.lease);
    } catch (error) {
      if (error instanceof Refused && ENDED.includes(error.code)) session = null;
      else if (!(error instanceof NotReached || error instanceof SignedOut || error instanceof Refused)) throw error;
      return true;
    }
  };

  queue.beatMs = Math.max(3000, Math.min(60000, (leaseS * 1000) / 3));

  queue.end = async () => {
    if (session) await request("POST", `sessions/${session}/end`);
    session = null;
    tasks = [];
    shelf.drop(queueId);
  };

  return queue;
}
