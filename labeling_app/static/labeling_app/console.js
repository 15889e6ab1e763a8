// The labeling console: one example at a time, the next ones in hand, answers on their way behind one's back.

import { makeAnswers, nameOf } from "./console_answers.js";
import { changedBanner, changesCard, lostBanner, notes, refusedBanner, suggestionCard } from "./console_banners.js";
import { announce, answerText, same, uuid } from "./console_dom.js";
import { makeClock, paceOf } from "./console_clock.js";
import { askFlag, askSkip, showRecent } from "./console_dialogs.js";
import { makeDrafts } from "./console_drafts.js";
import { makeFind } from "./console_find.js";
import { makeForm } from "./console_form.js";
import { makeHabits } from "./console_habits.js";
import { listen, showKeys } from "./console_keys.js";
import { makeOutbox } from "./console_outbox.js";
import { makeQueue } from "./console_queue.js";
import { onlyHere } from "./console_tabs.js";
import { drawConnection, drawProgress, drawState, toast } from "./console_status.js";
import { drawTroubles } from "./console_troubles.js";
import { makeTransport, NotReached, Refused, SignedOut } from "./console_transport.js";
import { fitting } from "./console_value.js";
import { drawExample } from "./console_view.js";

const config = JSON.parse(document.getElementById("lc-config").textContent);
const at = (id) => document.getElementById(id);
const SKIP_DELAY_MS = 6000; // a skip cannot be taken back on the server: it is sent when nobody wants it back
const COMES_BACK = ["schema_violation", "example_changed", "type_changed"];
const POLL_MS = 20000;

const { request } = makeTransport({ api: config.api, csrfCookie: config.csrf_cookie });
const clock = makeClock();
const find = makeFind({ place: at("lc-find"), area: () => at("lc-view") });
const habits = makeHabits({ person: config.person, queueId: config.queue, pick: at("lc-pick"), side: at("lc-instructions") });
const durations = [];
const work = new Map(); // example → {ms, banner} of examples that were set aside or came back
const answers = makeAnswers({ queueId: config.queue, request });

let form = null;
let shape = config.form; // what the form is made of
let digest = null; // of the type that `shape` belongs to
let shown = null; // the task that is drawn
let accepted; // the suggestion that was taken over
let wantsUndo = "";
let blocked = "";
let mine = 0; // answers given since the page was loaded
let begun = null; // how far it was then
let wasOffline = false;

const outbox = makeOutbox({
  person: config.person,
  request,
  extra: (record) => (record.session && record.session === queue.session() && record.kind !== "flag" ? { next: queue.lacking(), hold: queue.hold() } : {}),
  listener: heard,
});
const queue = makeQueue({ queueId: config.queue, person: config.person, sessionType: config.session_type, leaseS: shape.lease_s, request, answered: outbox.leases, rebind: outbox.rebind, changed: () => next() });
const drafts = makeDrafts({
  person: config.person,
  send: (lease, draft, keepalive) => request("POST", `leases/${lease}/draft`, { ...draft, value: draft.value === undefined ? null : draft.value }, { keepalive }),
  listener: (how) => (at("lc-draft").textContent = how === "kept" ? "Draft saved" : "Draft kept here"),
});

// --- showing ------------------------------------------------------------------------------------------------------
/** Draw the first example in hand, if it is not drawn already; else say why there is none. */
function next() {
  if (blocked) return;
  const task = queue.current();
  if (!task) {
    nothing();
    return;
  }
  if (shown && shown.lease === task.lease && shown.content_hash === task.content_hash && shown.mine === task.mine) return;
  setAside();
  show(task);
}

function setAside() {
  if (!shown || !queue.waiting().some((task) => task.lease === shown.lease)) return;
  work.set(shown.example, { ...work.get(shown.example), ms: clock.read() });
}

async function show(task) {
  if (digest === null) digest = task.schema_digest;
  if (task.schema_digest !== digest) {
    try {
      await reshape(task.schema_digest);
    } catch (error) {
      return failed(error);
    }
    if (queue.current() !== task) return undefined;
  }
  shown = task;
  at("lc-main").hidden = false;
  at("lc-state").hidden = true;
  at("lc-name").textContent = nameOf(task);
  const { changes } = work.get(task.example) || {};
  at("lc-view").replaceChildren(...(changes ? [changes()] : []), drawExample(task.input, shape.input_view));
  at("lc-view").scrollTop = 0;
  at("lc-answer-scroll").scrollTop = 0;
  at("lc-draft").textContent = "";
  find.again();
  if (!form) makeTheForm();
  accepted = undefined;
  fill(task);
  drawBanner(task);
  drawSuggestions(task);
  // away from the box of the example before, so that the next key is a key and not a letter in it
  if (!document.querySelector("dialog[open]") && !at("lc-find").contains(document.activeElement)) at("lc-answer").focus({ preventScroll: true });
  form.begin();
  const { violations } = work.get(task.example) || {};
  if (violations) form.tellServer(violations);
  clock.start((work.get(task.example) || {}).ms || 0);
  return undefined;
}

function makeTheForm() {
  form = makeForm({ controls: shape.controls, keys: shape.keys, fieldPath: shape.field_path, changed });
  at("lc-form").replaceChildren(form.element);
  at("lc-pick").hidden = !form.onePick();
}

/** What is there to begin with: what was typed before, the answer that was taken back, the one that is there. */
function fill(task) {
  const draft = drafts.of(task);
  const begun = draft && !(draft.value === null && !draft.notes && draft.confidence === null) ? draft : null;
  const start = begun || task.mine || (task.current === null ? {} : { value: task.current });
  const value = start.value === null ? undefined : start.value;
  form.fill({ value, confidence: start.confidence ?? null, notes: start.notes || "" });
  if (begun && !task.mine && !(work.get(task.example) || {}).banner) at("lc-draft").textContent = "Your draft is back";
}

function drawBanner(task) {
  const banner = (work.get(task.example) || {}).banner;
  at("lc-banner").replaceChildren(...notes(config.session_type, task), ...(banner ? [banner()] : []));
}

function drawSuggestions(task) {
  const place = at("lc-suggestions");
  place.hidden = !task.suggestions.length;
  place.replaceChildren(...task.suggestions.slice(0, 3).map((one, index) => suggestionCard(one, { key: index ? "" : shape.keys.accept, names: names(), accept: acceptSuggestion, edit: takeOver })));
}

function nothing() {
  shown = null;
  const waiting = outbox.waiting().length;
  const signedOut = queue.signedOut || outbox.signedOut;
  const offline = queue.unreached || outbox.offline;
  const code = signedOut ? "signed_out" : offline ? "offline" : queue.why ? queue.code : "loading";
  const again = ["Look again", lookAgain, code === "offline"];
  const actions = {
    signed_out: [["Sign in", config.login_url, true], ["Go on", recheck]],
    loading: [],
    nothing_left: [["Back to the queues", config.home_url, true], again, ["Undo my last answer", undo]],
  }[code] || [["Back to the queues", config.home_url, code !== "offline"], again];
  at("lc-main").hidden = true;
  at("lc-state").hidden = false;
  const before = at("lc-state").dataset.code;
  at("lc-state").dataset.code = code;
  drawState(at("lc-state"), code, queue.why, actions, offline || signedOut ? waiting : 0);
  if (before !== code && code !== "loading") announce(at("lc-state").querySelector("h2").textContent);
}

function lookAgain() {
  queue.why = null;
  outbox.kick();
  queue.fill();
}

const names = () => shape.controls.map((control) => control.path.at(-1)); // of the answer's fields, in order

// --- answering ----------------------------------------------------------------------------------------------------
function changed({ picked = false }) {
  if (!shown) return;
  clock.touch();
  if (picked && habits.pickSubmits() && form.onePick()) {
    submit();
    return;
  }
  drafts.keep(shown, { value: form.value(), confidence: form.confidence(), notes: form.notes() });
}

function submit() {
  if (!shown || shown !== queue.current() || !form.check()) return;
  const task = shown;
  const value = form.value();
  const source = accepted !== undefined && same(accepted, value) ? "accepted" : "human";
  const ms = clock.read();
  const body = { value, confidence: form.confidence(), notes: form.notes(), duration_ms: ms, content_hash: task.content_hash, schema_digest: task.schema_digest, source };
  durations.push(ms);
  queue.perHour = paceOf(durations);
  mine += 1;
  leave(task, "submit", body);
  const done = outbox.offline || !navigator.onLine ? "Kept here until you are online" : "Saved";
  announce(`${done}. ${queue.current() ? "Next example." : ""}`);
  toast(at("lc-toast"), `${done}: ${answerText(value, 60, names())}`, ["Undo", undo]);
}

function skip() {
  if (!shown) return;
  const task = shown;
  askSkip((reason) => {
    if (shown !== task) return;
    leave(task, "skip", { reason }, SKIP_DELAY_MS);
    announce("Skipped. Next example.");
    toast(at("lc-toast"), "Skipped", ["Undo", undo]);
  });
}

/** The answer goes its way, and the next example is drawn at once. */
function leave(task, kind, body, delayMs = 0) {
  const key = uuid();
  const input = JSON.stringify(task.input).length < 20000 ? task.input : undefined;
  answers.add(task, key, kind, body);
  drafts.drop(task);
  work.delete(task.example);
  queue.advance();
  outbox.add({ key, queue: config.queue, session: queue.session(), lease: task.lease, example: task.example, kind, body, what: nameOf(task), input }, delayMs);
  next();
  if (!queue.current()) queue.fill();
}

function flag() {
  if (!shown) return;
  const task = shown;
  askFlag((comment) => {
    outbox.add({ key: uuid(), queue: config.queue, lease: task.lease, example: task.example, kind: "flag", body: { comment }, what: nameOf(task) });
    announce("Flagged");
    toast(at("lc-toast"), "Flagged: a reviewer will see your comment");
  });
}

function takeOver(suggestion) {
  form.fillValue(suggestion.value);
  accepted = suggestion.value;
  drafts.keep(shown, { value: form.value(), confidence: form.confidence(), notes: form.notes() });
  form.begin();
}

function acceptSuggestion(suggestion = shown && shown.suggestions[0]) {
  if (!suggestion) {
    if (shown) announce("There is no suggestion");
    return;
  }
  takeOver(suggestion);
  submit();
}

// --- taking back --------------------------------------------------------------------------------------------------
async function undo(answer = answers.newest()) {
  try {
    const found = answer && answer.lease !== undefined ? answer : (await answers.all())[0];
    if (!found) toast(at("lc-toast"), "There is no answer of yours to take back");
    else await takeBack(found);
  } catch (error) {
    failed(error, "undo");
  }
}

async function takeBack(answer) {
  const record = answer.key ? outbox.cancel(answer.key) : null;
  if (record) await bringBack(record, answer.task);
  else if (answer.key && outbox.isSending(answer.key)) {
    wantsUndo = answer.key;
    return;
  } else if (answer.label) {
    const { task } = await request("POST", `labels/${answer.label}/undo`, {}, { key: uuid() });
    queue.putFirst(task);
  } else {
    toast(at("lc-toast"), answer.skipped ? "This was skipped for good; it goes to somebody else" : "This answer cannot be taken back here");
    return;
  }
  answers.remove(answer);
  if (!answer.skipped) mine = Math.max(0, mine - 1);
  announce("Taken back. The example is here again with your answer.");
  toast(at("lc-toast"), "Taken back");
}

/** An answer that was not stored comes back into the form, with its example. */
async function bringBack(record, task, { input, content_hash: hash, banner, changes, put = queue.putFirst } = {}) {
  const { value, confidence, notes } = record.body;
  if (value !== undefined) drafts.keep({ queue: record.queue, example: record.example, lease: record.lease }, { value, confidence, notes });
  work.set(record.example, { ms: record.body.duration_ms || 0, banner, changes });
  if (task) put({ ...task, input: input ?? task.input, content_hash: hash ?? task.content_hash, mine: null });
  else if (!(await queue.recover(record.lease, put))) queue.fill();
}

async function recent() {
  try {
    showRecent({ answers: await answers.all(), names: names(), undo: (answer) => undo(answers.of(answer.key) || answer) });
  } catch (error) {
    failed(error);
  }
}

// --- what the outbox tells ----------------------------------------------------------------------------------------
function heard(what, record, answer) {
  if (what === "sent") sent(record, answer);
  else if (what === "trouble") trouble(record).catch(failed);
  else if (what === "failed") undoIfWanted(record);
  drawStatus();
}

/** Whoever took an answer back while it was being sent gets it back when that has an end, a good one or not. */
function undoIfWanted(record) {
  if (wantsUndo !== record.key) return;
  wantsUndo = "";
  undo(answers.of(record.key));
}

function sent(record, answer) {
  if (record.queue !== config.queue) return;
  const mineOf = answers.of(record.key);
  if (mineOf && answer.submitted) mineOf.label = answer.submitted.label;
  if (record.kind !== "flag") {
    queue.unreached = false;
    queue.signedOut = false;
    queue.take(answer);
  }
  undoIfWanted(record);
  if (!queue.why && queue.lacking()) queue.fill();
}

/** Some answers come back into the form, with what was wrong; the others stay in the panel. */
async function trouble(record) {
  const { error } = record;
  if (record.kind === "submit") mine = Math.max(0, mine - 1);
  if (record.queue !== config.queue || record.kind !== "submit" || !COMES_BACK.includes(error.code)) {
    toast(at("lc-toast"), `Not stored: ${record.what}`);
    return;
  }
  const task = (answers.of(record.key) || {}).task;
  outbox.settle(record.key);
  if (error.code === "example_changed") {
    const before = task ? task.input : record.input;
    const { input, content_hash: hash } = error.details;
    await bringBack(record, task, { input, content_hash: hash, put: queue.putNext, banner: changedBanner, changes: before === undefined ? null : () => changesCard(before, input, shape.input_view) });
  } else if (error.code === "type_changed") {
    await reshape(error.details.schema_digest || null);
    const [kept, lost] = fitting(shape.controls, record.body.value);
    const banner = () => lostBanner(lost);
    shown = null; // the form is another one: what is shown is drawn anew
    await bringBack({ ...record, body: { ...record.body, value: kept } }, task && { ...task, schema_digest: digest ?? task.schema_digest }, { banner, put: queue.putNext });
    next();
  } else {
    const violations = error.details.violations || [];
    await bringBack(record, task, { put: queue.putNext, banner: refusedBanner });
    work.get(record.example).violations = violations;
    if (form && shown && shown.lease === record.lease) form.tellServer(violations);
  }
  toast(at("lc-toast"), shown && shown.lease !== record.lease ? `${record.what} comes back next: it is not stored yet` : `Not stored yet: ${record.what}`);
  announce(error.message);
}

/** Fetch the form anew: the type was changed. */
async function reshape(of) {
  shape = await request("GET", config.form_url);
  digest = of;
  form = null;
}

function failed(error, doing = "") {
  if (error instanceof SignedOut) queue.signedOut = true;
  else if (error instanceof NotReached) toast(at("lc-toast"), doing === "undo" ? "No connection: this answer is stored already, so it can be taken back when you are online again" : error.message);
  else if (error instanceof Refused) toast(at("lc-toast"), [error.message, error.hint].filter(Boolean).join(" "));
  else throw error;
  announce(error.message);
  drawStatus();
}

// --- status -------------------------------------------------------------------------------------------------------
function drawStatus() {
  const waiting = outbox.waiting();
  const offline = outbox.offline || queue.unreached || !navigator.onLine;
  const signedOut = outbox.signedOut || queue.signedOut;
  if (wasOffline && !offline && !waiting.length) announce("The connection is back, and everything is stored.");
  wasOffline = offline || (wasOffline && waiting.length > 0);
  drawConnection(at("lc-net"), { waiting: waiting.length, offline, signedOut, stored: outbox.safe() });
  const { progress } = queue;
  begun = begun || (progress && { mine: progress.mine, labels: progress.labels });
  drawProgress(at("lc-progress"), { progress, mine: mine + (begun ? begun.mine : 0), perHour: paceOf(durations), there: mine + (begun ? begun.labels : 0) });
  at("lc-signed-out").hidden = !signedOut;
  drawTroubles(at("lc-troubles"), outbox.troubles(), { again: (record) => outbox.again(record.key), settle: (record) => outbox.settle(record.key) });
  if (!shown && !blocked) nothing();
}

/** Signed out: look whether the same person is back. */
async function recheck() {
  try {
    const found = await request("GET", config.form_url);
    if (found.person !== config.person) return block("other_person", [["Load the page again", () => location.reload(), true]]);
    queue.signedOut = false;
    outbox.kick();
    queue.fill();
  } catch (error) {
    if (!(error instanceof SignedOut || error instanceof NotReached)) throw error;
  }
  return drawStatus();
}

function block(code, actions) {
  blocked = code;
  at("lc-main").hidden = true;
  at("lc-state").hidden = false;
  drawState(at("lc-state"), code, null, actions, 0);
}

async function stop() {
  drafts.flush();
  outbox.hurry();
  if (outbox.waiting().length === 0) await queue.end().catch(() => {});
  location.assign(config.home_url);
}

// --- start --------------------------------------------------------------------------------------------------------
const actions = {
  submit,
  skip,
  flag,
  undo: () => undo(),
  recent,
  accept: () => acceptSuggestion(),
  find: find.open,
  instructions: habits.toggleInstructions,
  notes: () => shown && form.note(),
  confidence: () => shown && form.sure(),
  pick: () => shown && form.onePick() && habits.togglePick(),
  help: () => showKeys({ keys: shape.keys, titles: shape.key_titles, controls: shape.controls, keysUrl: config.keys_url }),
  stop,
  recheck,
};
listen({ keys: shape.keys, actions, form: () => (shown ? form : null), ready: () => shown || at("lc-state").dataset.code !== "loading" });
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-act]");
  if (button) actions[button.dataset.act]();
});
for (const event of ["keydown", "pointerdown", "pointermove", "wheel", "touchstart"]) document.addEventListener(event, clock.touch, { passive: true, capture: true });
document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    clock.hide();
    drafts.flush(true);
  } else clock.touch();
});
window.addEventListener("pagehide", () => drafts.flush(true));
window.addEventListener("beforeunload", (event) => {
  const now = Date.now();
  if (outbox.waiting().some((record) => record.due <= now)) event.preventDefault();
});
window.addEventListener("offline", drawStatus);
window.addEventListener("online", () => queue.fill().then(drawStatus));
window.addEventListener("focus", () => (outbox.signedOut || queue.signedOut) && recheck());

setInterval(async () => {
  if (outbox.signedOut || queue.signedOut) await recheck();
  else if (!blocked && !(await queue.beat())) toast(at("lc-toast"), "You held this example for long: somebody else may have it by now");
}, queue.beatMs);
setInterval(() => {
  if (!blocked && !document.hidden && !queue.current()) queue.fill().then(drawStatus);
}, POLL_MS);
setInterval(() => {
  if (queue.unreached && navigator.onLine) queue.fill().then(drawStatus);
  if (queue.current() && shown !== queue.current()) next(); // its form could not be fetched before
}, 4000);

onlyHere(`golden-labeling-${config.person}-${config.queue}`, {
  here: () => {
    outbox.kick();
    queue.fill().then(drawStatus);
  },
  elsewhere: (takeOverHere) => block("elsewhere", [["Label here", takeOverHere, true], ["Back to the queues", config.home_url]]),
});
drawStatus();
