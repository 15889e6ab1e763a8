// Answers that somebody has begun: kept in the browser at each key, on the server when the hand rests.

import { makeShelf } from "./console_storage.js";

const REST_MS = 1200;
const KEPT_MS = 14 * 24 * 3600 * 1000;

/** `send(lease, draft, keepalive)` stores a draft on the server; it may fail, the browser's copy is there. */
export function makeDrafts({ person, send, listener }) {
  const shelf = makeShelf(`golden-labeling.${person}.draft.`);
  const name = (task) => `${task.queue}.${task.example}`;
  let pending = null;
  let timer = null;

  for (const [kept, draft] of shelf.all()) if (Date.now() - draft.at > KEPT_MS) shelf.drop(kept);

  function flush(keepalive = false) {
    clearTimeout(timer);
    timer = null;
    if (!pending) return;
    const { task, draft } = pending;
    pending = null;
    send(task.lease, draft, keepalive).then(
      () => listener("kept"),
      () => listener("here"),
    );
  }

  return {
    /** Keep what the form holds: {value, confidence, notes}. */
    keep(task, draft) {
      shelf.put(name(task), { ...draft, at: Date.now() });
      if (pending && pending.task.lease !== task.lease) flush();
      pending = { task, draft };
      clearTimeout(timer);
      timer = setTimeout(flush, REST_MS);
      listener("here");
    },

    /** The draft of an example: the browser's own, or else the server's. */
    of(task) {
      return shelf.get(name(task)) || task.draft || null;
    },

    /** The example was answered. */
    drop(task) {
      if (pending && pending.task.lease === task.lease) {
        clearTimeout(timer);
        pending = null;
      }
      shelf.drop(name(task));
    },

    flush,
  };
}
