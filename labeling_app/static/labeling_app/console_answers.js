// The answers that this person gave, newest first: those of this page, and those that the server has from before.

import { NotReached } from "./console_transport.js";

const MOST_KEPT = 100; // answers of this page whose examples are held for an undo

export const nameOf = (task) => task.external_id || `Example ${task.example.slice(0, 8)}`;

/** Answers are {key, label, lease, name, value, at, task, skipped}; those of the server have no key and no task. */
export function makeAnswers({ queueId, request }) {
  let given = [];
  return {
    add(task, key, kind, body) {
      const skipped = kind === "skip";
      given = [{ key, label: null, lease: task.lease, name: nameOf(task), value: skipped ? "skipped" : body.value, at: Date.now(), task, skipped }, ...given].slice(0, MOST_KEPT);
    },
    newest: () => given[0],
    of: (key) => (key ? given.find((one) => one.key === key) : undefined),
    remove(answer) {
      given = given.filter((one) => one !== answer);
    },

    /** All that can be listed; without a connection those of this page alone. */
    async all() {
      const here = given.map((answer) => ({ ...answer, state: answer.label || answer.skipped ? "" : "waits" }));
      let stored = [];
      try {
        const { results } = await request("GET", `queues/${queueId}/my-labels?limit=50`);
        stored = results.map((one) => ({ label: one.label, lease: "", name: nameOf(one), value: one.value, at: Date.parse(one.labeled_at) }));
      } catch (error) {
        if (!(error instanceof NotReached)) throw error;
      }
      const labels = new Set(here.map((answer) => answer.label).filter(Boolean));
      return [...here, ...stored.filter((answer) => !labels.has(answer.label))];
    },
  };
}
