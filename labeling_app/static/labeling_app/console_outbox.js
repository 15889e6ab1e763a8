// Answers on their way to the server. Each is kept in the browser, under its idempotency key, until the server has it:
// a lost connection, a reload or a closed window loses nothing, and nothing is stored twice.

import { makeShelf } from "./console_storage.js";
import { NotReached, Refused, SignedOut } from "./console_transport.js";

const LONGEST_WAIT_MS = 30000;

/**
 * Records: {key, queue, lease, kind: submit|skip|flag, body, at, due, what, state: waiting|trouble, error}.
 * `listener` is called with ("sent", record, answer), ("trouble", record), ("failed", record) when it is to be
 * tried again, ("cancelled", record) and ("changed").
 * `extra(record)` gives what to add to the body at the moment of sending.
 */
export function makeOutbox({ person, request, extra, listener }) {
  const shelf = makeShelf(`golden-labeling.${person}.out.`);
  let running = false;
  let timer = null;
  let failures = 0;
  let sending = "";
  let sequence = 0;
  const outbox = { offline: false, signedOut: false };

  function records() {
    return shelf
      .all()
      .map(([, record]) => record)
      .sort((a, b) => a.at - b.at || a.sequence - b.sequence);
  }

  outbox.waiting = () => records().filter((record) => record.state === "waiting");
  outbox.troubles = () => records().filter((record) => record.state === "trouble");
  outbox.leases = () => outbox.waiting().filter((record) => record.kind !== "flag").map((record) => record.lease);
  outbox.isSending = (key) => sending === key;
  outbox.safe = () => !shelf.broken;

  /** Keep an answer and send it when `delayMs` have passed. */
  outbox.add = (record, delayMs = 0) => {
    const now = Date.now();
    shelf.put(record.key, { ...record, state: "waiting", at: now, due: now + delayMs, sequence: sequence++ });
    listener("changed");
    run();
  };

  /** Take back an answer that was not sent. Returns the record, or null when it is too late. */
  outbox.cancel = (key) => {
    const record = shelf.get(key);
    if (!record || sending === key) return null;
    shelf.drop(key);
    listener("cancelled", record);
    listener("changed");
    return record;
  };

  /** The person has dealt with an answer that the server refused. */
  outbox.settle = (key) => {
    shelf.drop(key);
    listener("changed");
  };

  /** Try once more what the server refused. */
  outbox.again = (key) => {
    const record = shelf.get(key);
    if (record) shelf.put(key, { ...record, state: "waiting", due: 0, error: null });
    outbox.kick();
  };

  /** The example of an answer that waits was given out anew: the answer is for that lease. Tells whether there is one. */
  outbox.rebind = (task) => {
    const isOfTask = (one) => one.queue === task.queue && one.example === task.example && one.kind !== "flag";
    const record = outbox.waiting().find(isOfTask);
    if (record && sending !== record.key) shelf.put(record.key, { ...record, lease: task.lease });
    return Boolean(record);
  };

  /** Try now, whatever the next try was waiting for. */
  outbox.kick = () => {
    failures = 0;
    clearTimeout(timer);
    timer = null;
    run();
  };

  outbox.hurry = () => {
    for (const record of outbox.waiting()) if (record.due > Date.now()) shelf.put(record.key, { ...record, due: 0 });
    outbox.kick();
  };

  async function run() {
    if (running || timer) return;
    running = true;
    try {
      // two tabs never send at the same time; where there are no locks, the keys still keep answers single
      if (navigator.locks) await navigator.locks.request(`golden-labeling-send-${person}`, sendAll);
      else await sendAll();
    } finally {
      running = false;
    }
    const next = outbox.waiting();
    if (next.length && !timer) later(outbox.offline || outbox.signedOut ? waitMs() : Math.max(0, soonest(next) - Date.now()));
  }

  async function sendAll() {
    for (;;) {
      const now = Date.now();
      const record = outbox.waiting().find((one) => one.due <= now);
      if (!record) return;
      if (!(await sendOne(record))) return;
    }
  }

  /** Send one; return whether the next may follow at once. */
  async function sendOne(record) {
    sending = record.key;
    try {
      const body = { ...record.body, ...extra(record) };
      const answer = await request("POST", `leases/${record.lease}/${record.kind}`, body, { key: record.key });
      reached();
      shelf.drop(record.key);
      sending = "";
      listener("sent", record, answer || {});
      listener("changed");
      return true;
    } catch (error) {
      sending = "";
      if (error instanceof Refused) {
        reached();
        const told = { status: error.status, code: error.code, message: error.message, hint: error.hint, details: error.details };
        const troubled = { ...record, state: "trouble", error: told };
        shelf.put(record.key, troubled);
        listener("trouble", troubled);
        listener("changed");
        return true;
      }
      failures += 1;
      outbox.offline = error instanceof NotReached;
      outbox.signedOut = error instanceof SignedOut;
      if (!outbox.offline && !outbox.signedOut) throw error;
      later(Math.max(waitMs(), (error.retryAfterS || 0) * 1000));
      listener("failed", record);
      listener("changed");
      return false;
    }
  }

  function reached() {
    failures = 0;
    outbox.offline = false;
    outbox.signedOut = false;
  }

  /** 1, 2, 4 … 30 s, a little earlier or later so that not all browsers come back at the same moment. */
  function waitMs() {
    return Math.min(LONGEST_WAIT_MS, 1000 * 2 ** Math.max(0, failures - 1)) * (0.8 + Math.random() * 0.4);
  }

  function later(ms) {
    clearTimeout(timer);
    timer = setTimeout(() => {
      timer = null;
      run();
    }, ms);
  }

  const soonest = (waiting) => Math.min(...waiting.map((record) => record.due));

  window.addEventListener("online", () => outbox.kick());
  window.addEventListener("focus", () => (outbox.offline || outbox.signedOut) && outbox.kick());
  return outbox;
}
