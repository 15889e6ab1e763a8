// The page of a reviewer: one case after the other. A decision is sent while the next case is already there.

import { announce, answerText, el, kbd, numberText, plural, same } from "./console_dom.js";
import { makeFind } from "./console_find.js";
import { keyOf } from "./console_keys.js";
import { toast } from "./console_status.js";
import { makeTransport, NotReached } from "./console_transport.js";
import { columnsOf, drawCase, inShort } from "./review_case.js";
import { makeClaims } from "./review_claims.js";
import { askAnswer, showKeys } from "./review_dialogs.js";

const config = JSON.parse(document.getElementById("lr-config").textContent);
const place = document.getElementById("lr");
const toastPlace = document.getElementById("lr-toast");
const BLIND = "golden review blind";

const state = {
  cases: config.cases,
  forms: config.forms,
  counts: config.counts,
  passed: [], // reviews that were gone past without a decision
  behind: [], // reviews that "previous" leads back to
  sent: new Set(), // reviews whose decision is on its way
  done: new Set(), // reviews that were decided here
  last: null, // the decision that can be undone at once
  pending: "", // an outcome that waits for its reason
  blind: localStorage.getItem(BLIND) === "1",
  find: null,
};

const { request } = makeTransport({ api: "", csrfCookie: config.csrf_cookie });
let line = Promise.resolve();

const claims = makeClaims({
  cases: () => state.cases,
  deciding: state.sent,
  send: (body, options) => request("POST", config.address, body, options),
  changed: (found) => keepingComment(() => look({ open: found.review, but: state.passed }, found)),
});
claims.note(state.cases);

/** Ask the server, one thing after the other: what was decided first is stored first. `body()` is called when its turn comes. */
function ask(body) {
  const answer = line.then(() => request("POST", config.address, { leave: claims.leave(), ...body() }));
  line = answer.catch(() => {});
  return answer;
}

/** What went wrong, in words: what the server said, and what to do. */
const words = (error) => [error.message, error.hint].filter(Boolean).join(" ");

/** Take in what the server says comes next; what is shown now stays. Answers may come in another order than they were asked for. */
function take(told, shown) {
  state.forms = { ...state.forms, ...told.forms };
  if (told.counts) state.counts = { ...told.counts, shown: Math.max(0, told.counts.shown - state.sent.size) };
  const known = (one) => state.sent.has(one.review) || state.done.has(one.review) || (shown && one.review === shown.review);
  const incoming = told.cases.filter((one) => !known(one));
  claims.note(incoming);
  state.cases = shown ? [shown, ...incoming] : incoming;
}

// --- what is shown
const current = () => state.cases[0] || null;
const controlsOf = (found) => state.forms[found.queue].controls;

function draw({ focus = true } = {}) {
  const found = current();
  state.pending = "";
  document.getElementById("lr-undo").hidden = !state.last;
  drawCounts();
  if (!found) {
    place.replaceChildren(nothingLeft());
    announce("Nothing waits for you.");
    return;
  }
  place.replaceChildren(drawCase(found, state.forms[found.queue], { blind: state.blind, left: leftText(), allQueues: config.all_queues, act }), decideBar(found));
  state.find = makeFind({ place: document.getElementById("lr-find"), area: () => document.getElementById("lr-example") || place });
  if (focus) {
    window.scrollTo(0, 0);
    document.getElementById("lr-name").focus({ preventScroll: true });
  }
  announce(`${found.name}: ${found.elsewhere || `${found.reason_said}.`} ${found.labels.map((label) => answerText(inShort(label.value, controlsOf(found)), 60)).join(" / ")}`);
}

function drawCounts() {
  document.getElementById("lr-open").textContent = numberText(state.counts.shown);
  const left = document.getElementById("lr-left");
  if (left) left.textContent = leftText();
}

function leftText() {
  return state.counts.shown ? `${numberText(state.counts.shown)} to decide` : "";
}

function nothingLeft() {
  const passed = state.passed.length;
  const elsewhere = state.counts.elsewhere;
  const again = el("button", { type: "button", class: "gd-button gd-button-primary" }, `Look at ${passed === 1 ? "it" : "them"} again`);
  again.addEventListener("click", () => startOver());
  return el(
    "div",
    { class: "gd-empty" },
    el("span", { class: "material-symbols-outlined gd-empty-icon", "aria-hidden": "true" }, "task_alt"),
    el("h2", { class: "gd-empty-title" }, passed ? `${plural(passed, "example")} passed over` : elsewhere ? "Nothing is left for you now" : "Nothing waits for a reviewer"),
    el("p", {}, elsewhere ? `${plural(elsewhere, "example")} ${elsewhere === 1 ? "is" : "are"} open with other reviewers; “All that wait” tells with whom.` : passed ? "Everything else is decided." : "Examples come here when labelers disagree, raise a flag, or when an answer is likely wrong."),
    passed ? el("p", { class: "gd-actions gd-actions-center" }, again) : null,
  );
}

function decideBar(found) {
  const comment = el("textarea", { class: "gd-input lr-comment", id: "lr-comment", rows: 1, maxlength: 10000, placeholder: "Comment, kept with the decision", "aria-label": "Comment" });
  comment.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      if (state.pending) decide(state.pending);
      else comment.blur();
    } else if (event.key === "Escape") {
      expect("");
      comment.blur();
    }
  });
  const press = (name, title, key, extra = "") => {
    const made = el("button", { type: "button", class: `gd-button ${extra}`, "data-act": name, disabled: Boolean(found.elsewhere) }, kbd(key), title);
    return made;
  };
  const gone = found.input === null;
  return el(
    "footer",
    { class: "lr-decide", "aria-label": "Decision" },
    el("p", { class: "lr-expect", id: "lr-expect", role: "status", hidden: true }),
    comment,
    el(
      "div",
      { class: "lr-outcomes" },
      gone ? null : press("third", "Another answer", "t"),
      press("keep", "Keep", "k"),
      gone ? null : press("reject", "Reject", "r"),
      press("back", "Send back", "b"),
    ),
  );
}

/** Wait for the reason of a decision that needs one. */
function expect(outcome) {
  state.pending = outcome;
  const line = document.getElementById("lr-expect");
  line.hidden = !outcome;
  line.textContent = outcome === "rejected" ? "Why is it rejected? Enter rejects it." : outcome ? "What should the labelers mind? Enter sends it back." : "";
}

// --- deciding
const commentBox = () => document.getElementById("lr-comment");

/** Decide with what stands in the comment; the next case is shown at once, and this one again if it is refused. */
async function decide(outcome, value = null) {
  const found = current();
  if (!found || isElsewhere(found)) return;
  const comment = commentBox().value;
  if (["rejected", "sent_back"].includes(outcome) && !comment.trim()) {
    expect(outcome);
    commentBox().focus();
    return;
  }
  const rest = state.cases.slice(1);
  const next = rest[0] || null;
  state.cases = rest;
  state.counts = { ...state.counts, shown: Math.max(0, state.counts.shown - 1) };
  state.sent.add(found.review);
  if (next) draw();
  else place.setAttribute("aria-busy", "true");
  try {
    const told = await send(found, outcome, value, comment);
    settled(found, told, value);
    take(told, current());
    if (!next) draw();
    else drawCounts();
  } catch (error) {
    state.sent.delete(found.review);
    refused(found, error, comment);
  } finally {
    place.removeAttribute("aria-busy");
  }
}

/** Say so when another reviewer has the case: it can be read, and taken over, not decided. */
function isElsewhere(found) {
  if (found.elsewhere) toast(toastPlace, "Another reviewer has this open: take it over with O, or go on with N.");
  return Boolean(found.elsewhere);
}

function send(found, outcome, value, comment) {
  return ask(() => ({
    do: "decide",
    review: found.review,
    outcome,
    value,
    comment,
    seen: found.fingerprint,
    but: [...state.passed, ...(current() ? [current().review] : [])],
    count: current() && current() !== found ? 1 : 2,
  }));
}

function settled(found, told, value) {
  const done = told.done;
  state.sent.delete(found.review);
  state.done.add(found.review);
  claims.drop(found.review);
  state.behind.push(found.review);
  const answer = answerText(inShort(value, controlsOf(found)), 40);
  const said = { adopted: `${answer} adopted`, third_answer: `${answer} adopted`, kept: "kept", rejected: "rejected", sent_back: "sent back" }[done.outcome] || done.said;
  state.last = done;
  document.getElementById("lr-undo").hidden = false;
  toast(toastPlace, `${found.name}: ${said}.`, ["Undo", undo]);
  announce(`${found.name}: ${said}.`);
}

/** Somebody else was faster, or something changed: say so, and show the case as it is now. */
async function refused(found, error, comment) {
  const gone = error.code === "already_decided";
  if (gone) {
    toast(toastPlace, `${found.name}: ${words(error)}`);
    announce(words(error));
    await look({ but: state.passed });
    return;
  }
  await look({ open: found.review, but: state.passed }, found);
  if (commentBox() && current() && current().review === found.review) commentBox().value = comment;
  if (error.code === "review_claimed" && current() && current().elsewhere) return; // which the case itself tells
  const name = document.getElementById("lr-name");
  if (name) name.closest(".lr-head").append(el("p", { class: "gd-note gd-note-danger gd-error", role: "alert" }, `${found.name}: ${words(error)}`));
}

/** Ask for cases without deciding anything; `fallback` is shown when even that fails. */
async function look(asked, fallback = null) {
  if (asked.open) state.done.delete(asked.open);
  try {
    take(await ask(() => ({ do: "look", ...asked })), null);
  } catch (error) {
    if (fallback) state.cases = [fallback, ...state.cases.filter((one) => one.review !== fallback.review)];
    toast(toastPlace, words(error));
  }
  draw();
}

/** Do what draws the case anew, and let what was written stand. */
async function keepingComment(work) {
  const found = current();
  const text = commentBox() ? commentBox().value : "";
  await work();
  if (text && commentBox() && found && current() && current().review === found.review) commentBox().value = text;
}

async function takeOver() {
  const found = current();
  if (!found || !found.elsewhere) return;
  try {
    await keepingComment(async () => {
      take(await ask(() => ({ do: "take_over", review: found.review, open: found.review, but: state.passed })), null);
      draw();
    });
  } catch (error) {
    refused(found, error, commentBox() ? commentBox().value : "");
  }
}

async function undo() {
  await line; // the last decision may be on its way
  const last = state.last;
  if (!last) return;
  state.last = null;
  try {
    const told = await ask(() => ({ do: "undo", review: last.review, open: last.review, but: state.passed }));
    state.done.delete(last.review);
    take(told, null);
    draw();
    toast(toastPlace, `${last.name} is open again.`);
  } catch (error) {
    draw();
    toast(toastPlace, words(error));
  }
}

async function next() {
  const found = current();
  if (!found) return;
  if (!state.passed.includes(found.review)) state.passed.push(found.review);
  state.behind.push(found.review);
  const shown = state.cases[1] || null;
  state.cases = state.cases.slice(1);
  if (shown) draw();
  try {
    take(await ask(() => ({ do: "look", but: [...state.passed, ...(current() ? [current().review] : [])], count: current() ? 1 : 2 })), current());
  } catch (error) {
    toast(toastPlace, words(error));
  }
  if (!shown) draw();
}

async function previous() {
  await line;
  const before = state.behind.pop();
  if (before === undefined) {
    toast(toastPlace, "There is none before.");
    return;
  }
  state.passed = state.passed.filter((one) => one !== before);
  await look({ open: before, but: state.passed });
}

async function startOver() {
  state.passed = [];
  await look({});
}

function third() {
  const found = current();
  if (!found || found.input === null || isElsewhere(found)) return;
  const begin = found.consensus ? found.consensus.value : found.labels.length ? found.labels[0].value : found.current;
  askAnswer({
    controls: controlsOf(found),
    value: begin,
    done: async (value) => {
      try {
        const shown = state.cases[1] || null;
        const outcome = columnsOf(found, controlsOf(found)).some((column) => column.outcome === "adopted" && same(column.value, value)) ? "adopted" : "third_answer";
        const told = await send(found, outcome, value, commentBox().value);
        settled(found, told, value);
        take(told, shown);
        draw();
        return null;
      } catch (error) {
        if (error.code === "schema_violation" || error instanceof NotReached) return words(error);
        refused(found, error, commentBox() ? commentBox().value : "");
        return null;
      }
    },
  });
}

function blind() {
  state.blind = !state.blind;
  localStorage.setItem(BLIND, state.blind ? "1" : "0");
  const text = commentBox() ? commentBox().value : "";
  draw({ focus: false });
  if (commentBox()) commentBox().value = text;
  drawBlind();
}

function drawBlind() {
  const press = document.getElementById("lr-blind");
  press.setAttribute("aria-pressed", String(state.blind));
  press.firstChild.textContent = state.blind ? "Show names" : "Hide names";
}

// --- what is pressed
function act(name, column) {
  const does = {
    adopt: () => decide(column.outcome, column.value),
    keep: () => decide("kept"),
    reject: () => decide("rejected"),
    back: () => decide("sent_back"),
    over: takeOver,
    third,
    comment: () => commentBox() && commentBox().focus(),
    next,
    previous,
    undo,
    blind,
    find: () => state.find && state.find.open(),
    help: showKeys,
  };
  if (does[name]) does[name]();
}

const KEYS = { t: "third", k: "keep", r: "reject", b: "back", o: "over", c: "comment", n: "next", ArrowRight: "next", p: "previous", ArrowLeft: "previous", u: "undo", h: "blind", "/": "find", "?": "help" };

document.addEventListener("click", (event) => {
  const pressed = event.target.closest("[data-act]");
  if (pressed) act(pressed.dataset.act);
});

document.addEventListener("keydown", (event) => {
  if (event.isComposing || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (document.querySelector("dialog[open]") || event.target.matches("input, textarea, select, [contenteditable]")) return;
  const key = keyOf(event);
  if (key.startsWith("Arrow") && event.target.closest(".lr-table-wrap")) return; // scrolls the table
  const found = current();
  if (/^[1-9]$/.test(key) && found) {
    const column = columnsOf(found, controlsOf(found)).find((one) => one.key === key);
    if (!column || (found.input === null && column.kind !== "current")) return;
    event.preventDefault();
    act("adopt", column);
  } else if (KEYS[key]) {
    event.preventDefault();
    act(KEYS[key]);
  }
});

drawBlind();
draw({ focus: false });
