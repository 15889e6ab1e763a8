// What the labeler sees of how it goes: progress, pace, time left, the connection; and the page when nothing is drawn.

import { el, icon, numberText, plural, spanText } from "./console_dom.js";

/** Draw the figures at the top. `mine` counts this session's answers, those on their way included;
 * `there` is how many labels there are at least: the server's figure may be some seconds old. */
export function drawProgress(place, { progress, mine, perHour, there: known }) {
  const pace = perHour ?? (progress && progress.per_hour);
  const wanted = progress ? progress.labels_wanted : null;
  const there = wanted === null ? null : Math.min(wanted, Math.max(progress.labels, known));
  const left = wanted === null ? null : Math.max(0, wanted - there);
  const share = wanted ? there / wanted : 0;
  const bar = el("progress", { class: "lc-bar", max: 100, value: Math.round(share * 100), "aria-label": "Progress of the queue" });
  place.replaceChildren(
    figure(numberText(mine), "by you now", "Answers that you gave in this session"),
    pace ? figure(numberText(Math.round(pace)), "an hour", "Your pace, pauses left out") : null,
    left === null ? "" : el("div", { class: "lc-figure-bar", title: `${numberText(there)} of ${numberText(wanted)} labels of this queue are there` }, bar, el("span", {}, left ? `${numberText(left)} left${pace ? `, ${spanText((left / pace) * 3600)} at your pace` : ""}` : "all there")),
  );
  for (const child of [...place.childNodes]) if (child.nodeType === Node.TEXT_NODE) child.remove();
}

function figure(value, words, title) {
  return el("span", { class: "lc-figure-item", title }, el("b", {}, value), ` ${words}`);
}

/** The badge: how many answers wait, and why. */
export function drawConnection(place, { waiting, offline, signedOut, stored }) {
  const text = signedOut
    ? `Signed out, ${plural(waiting, "answer")} kept`
    : offline
      ? waiting
        ? `No connection, ${plural(waiting, "answer")} kept`
        : "No connection"
      : waiting > 2
        ? `Sending ${plural(waiting, "answer")}`
        : "";
  place.hidden = !text;
  if (text && place.dataset.text !== text) place.replaceChildren(icon(signedOut ? "lock" : offline ? "cloud_off" : "cloud_upload"), text);
  place.dataset.text = text;
  place.dataset.tone = signedOut || offline ? "warning" : "calm";
  place.title = stored ? "Kept in this browser and sent by itself when the server can be reached." : "This browser keeps nothing: leave the page open until all is sent.";
}

const STATES = {
  nothing_left: ["task_alt", "Nothing left for you here", "You have answered everything that this queue has for you now. More may come when examples are added, or when others give some back."],
  queue_not_open: ["pause_circle", "This queue is not open", ""],
  labeler_paused: ["front_hand", "You are paused in this queue", ""],
  not_assigned: ["assignment_ind", "This queue is not assigned to you", ""],
  forbidden: ["block", "You may not label here", ""],
  unknown_queue: ["search_off", "This queue is not there any more", ""],
  offline: ["cloud_off", "No connection to the server", "The examples that were loaded ahead are all answered. It goes on by itself when the connection is back."],
  signed_out: ["lock", "You are signed out", "Sign in in another tab and come back: it goes on here, and nothing is lost."],
  elsewhere: ["tab", "You label in another tab", "This queue is open there. Two tabs would show you the same example twice."],
  other_person: ["group", "Somebody else signed in", "This browser now belongs to another person. Load the page again to label as that person; answers that wait here are kept for the first."],
  loading: ["hourglass_top", "One moment", "The next example is on its way."],
};

/** Draw the page without an example. `why` is the server's reason; `actions` are [title, handler or address, main]. */
export function drawState(place, code, why, actions, waiting) {
  const [symbol, title, text] = STATES[code] || ["error", "This cannot go on", ""];
  const told = code === "nothing_left" || !why ? text : why;
  place.replaceChildren(
    el(
      "div",
      { class: `lc-state lc-state-${code}` },
      icon(symbol),
      el("h2", { tabindex: "-1" }, title),
      told ? el("p", {}, told) : null,
      waiting ? el("p", { class: "lc-state-waiting" }, `${plural(waiting, "answer")} of yours ${waiting === 1 ? "is" : "are"} kept in this browser until the server has ${waiting === 1 ? "it" : "them"}.`) : null,
      el("div", { class: "gd-actions gd-actions-center" }, ...actions.map(([name, what, main]) => link(name, what, main))),
    ),
  );
}

function link(name, what, main) {
  const look = `gd-button${main ? " gd-button-primary" : ""}`;
  if (typeof what === "string") return el("a", { class: look, href: what, target: what.includes("/login/") ? "_blank" : null }, name);
  const button = el("button", { type: "button", class: look }, name);
  button.addEventListener("click", what);
  return button;
}

let timer = null;
/** Say in passing what happened, with a way back. */
export function toast(place, text, action = null) {
  clearTimeout(timer);
  const button = action ? el("button", { type: "button", class: "lc-toast-action" }, action[0]) : null;
  if (button) button.addEventListener("click", action[1]);
  place.replaceChildren(el("span", {}, text), button || "");
  place.classList.add("lc-toast-on");
  timer = setTimeout(() => place.classList.remove("lc-toast-on"), 5000);
}
