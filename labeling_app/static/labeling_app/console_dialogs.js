// Panels over the page: a real <dialog>, so that the focus stays in it, Esc closes it, and it goes back where it was.

import { answerText, el, icon, kbd } from "./console_dom.js";

/** Open a dialog; returns it. `onClose` is called however it was closed. */
export function dialog({ title, body, wide = false, side = false, more = null, onClose = null }) {
  const before = document.activeElement;
  const close = el("button", { type: "button", class: "lc-icon-button", "aria-label": "Close", autofocus: true }, icon("close"));
  const made = el(
    "dialog",
    { class: `lc-dialog${wide ? " lc-dialog-wide" : ""}${side ? " lc-dialog-side" : ""}`, "aria-labelledby": "lc-dialog-title" },
    el("header", { class: "lc-dialog-head" }, el("h2", { id: "lc-dialog-title" }, title), more, close),
    el("div", { class: "lc-dialog-body" }, ...body),
  );
  close.addEventListener("click", () => made.close());
  made.addEventListener("click", (event) => event.target === made && made.close());
  made.addEventListener("close", () => {
    made.remove();
    if (before && before.isConnected) before.focus({ preventScroll: true });
    if (onClose) onClose();
  });
  document.body.append(made);
  made.showModal();
  return made;
}

const REASONS = ["Not clear enough", "I do not know enough", "Several answers fit", "Broken or empty", "Not the right language"];

/** Ask why an example is skipped; digits pick a reason, or one is written. */
export function askSkip(done) {
  const box = el("textarea", { class: "lc-input lc-text", rows: 2, id: "lc-reason", maxlength: 2000 });
  const send = el("button", { type: "button", class: "gd-button gd-button-primary" }, "Skip");
  const buttons = REASONS.map((reason, at) => {
    const button = el("button", { type: "button", class: "lc-option" }, kbd(String(at + 1)), el("span", { class: "lc-option-title" }, reason));
    button.addEventListener("click", () => finish(reason));
    return button;
  });
  const panel = dialog({
    title: "Why do you skip it?",
    body: [
      el("div", { class: "lc-options" }, ...buttons),
      el("label", { class: "lc-label", for: "lc-reason" }, "In your own words"),
      box,
      el("div", { class: "lc-dialog-foot gd-actions gd-actions-end" }, send),
    ],
  });

  function finish(reason) {
    panel.close();
    done(reason);
  }

  function written() {
    if (box.value.trim()) finish(box.value.trim());
    else box.focus();
  }

  send.addEventListener("click", written);
  panel.addEventListener("keydown", (event) => {
    if (event.target === box) {
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        written();
      }
    } else if (buttons[Number(event.key) - 1]) {
      event.preventDefault();
      buttons[Number(event.key) - 1].click();
    }
  });
  buttons[0].focus();
}

/** Ask for a comment that a reviewer will read. */
export function askFlag(done) {
  const box = el("textarea", { class: "lc-input lc-text", rows: 3, id: "lc-comment", maxlength: 2000 });
  const send = el("button", { type: "button", class: "gd-button gd-button-primary" }, icon("flag"), "Flag");
  const panel = dialog({
    title: "Flag this example",
    body: [
      el("label", { class: "lc-label", for: "lc-comment" }, "What should a reviewer know?"),
      box,
      el("div", { class: "lc-dialog-foot gd-actions gd-actions-end" }, send),
    ],
  });
  function finish() {
    const comment = box.value.trim();
    if (!comment) {
      box.focus();
      return;
    }
    panel.close();
    done(comment);
  }
  send.addEventListener("click", finish);
  box.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      finish();
    }
  });
  box.focus();
}

/** List one's latest answers: [{key, label, name, value, at, state}]; each may be undone. */
export function showRecent({ answers, names, undo }) {
  const rows = answers.map((answer) => {
    const button = el("button", { type: "button", class: "gd-button gd-button-small" }, icon("undo"), "Undo");
    button.setAttribute("aria-label", `Undo the answer to ${answer.name}`);
    const row = el(
      "li",
      { class: "lc-recent-row" },
      el("div", { class: "lc-recent-main" }, el("b", {}, answerText(answer.value, 140, names)), el("span", { class: "gd-muted" }, answer.name)),
      el("span", { class: "gd-muted gd-nowrap" }, answer.state || timeText(answer.at)),
      button,
    );
    button.addEventListener("click", () => {
      panel.close();
      undo(answer);
    });
    return row;
  });
  const panel = dialog({
    title: "Your latest answers",
    side: true,
    body: [rows.length ? el("ol", { class: "lc-recent" }, ...rows) : el("p", { class: "gd-muted" }, "You have not answered anything here yet.")],
  });
}

function timeText(at) {
  const date = new Date(at);
  const today = new Date().toDateString() === date.toDateString();
  return today ? date.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" }) : date.toLocaleDateString("en-GB", { day: "numeric", month: "short" });
}
