// Search in the example that is shown: all hits are marked, Enter goes to the next.

import { announce, el, icon } from "./console_dom.js";

const MOST_HITS = 2000;

/** `area()` gives the element that is searched; the box is put into `place`. */
export function makeFind({ place, area }) {
  const box = el("input", { class: "lc-input", type: "search", "aria-label": "Search in the example", placeholder: "Search in the example", autocomplete: "off", spellcheck: "false" });
  const count = el("span", { class: "lc-find-count", role: "status" });
  const button = (name, title, action) => {
    const made = el("button", { type: "button", class: "lc-icon-button", "aria-label": title, title }, icon(name));
    made.addEventListener("click", action);
    return made;
  };
  const bar = el("div", { class: "lc-find", role: "search", hidden: true }, icon("search"), box, count, button("expand_less", "Previous hit", () => go(-1)), button("expand_more", "Next hit", () => go(1)), button("close", "Close the search", close));
  place.append(bar);
  let hits = [];
  let at = -1;
  let before = null;

  function clear() {
    for (const mark of hits) {
      const parent = mark.parentNode;
      if (!parent) continue;
      mark.replaceWith(document.createTextNode(mark.textContent));
      parent.normalize();
    }
    hits = [];
    at = -1;
  }

  function search() {
    clear();
    const wanted = box.value.toLowerCase();
    if (wanted.trim()) {
      const walker = document.createTreeWalker(area(), NodeFilter.SHOW_TEXT);
      const nodes = [];
      while (walker.nextNode()) if (!walker.currentNode.parentElement.closest(".gd-sr")) nodes.push(walker.currentNode);
      for (const node of nodes) if (hits.length < MOST_HITS) markIn(node, wanted);
    }
    if (hits.length) go(1, false);
    else tell();
  }

  function markIn(node, wanted) {
    let rest = node;
    for (;;) {
      const text = rest.data.toLowerCase();
      // a letter that is longer when small would shift what is marked: such a text is searched as it is written
      const found = (text.length === rest.data.length ? text : rest.data).indexOf(wanted);
      if (found < 0) return;
      const hit = rest.splitText(found);
      rest = hit.splitText(wanted.length);
      const mark = el("mark", { class: "lc-hit" });
      hit.replaceWith(mark);
      mark.append(hit);
      hits.push(mark);
    }
  }

  function go(step, spoken = true) {
    if (!hits.length) return;
    if (hits[at]) hits[at].classList.remove("lc-hit-here");
    at = (at + step + hits.length) % hits.length;
    const here = hits[at];
    here.classList.add("lc-hit-here");
    for (let outer = here.closest("details"); outer; outer = outer.parentElement.closest("details")) outer.open = true;
    here.scrollIntoView({ block: "center" });
    tell(spoken);
  }

  function tell() {
    count.textContent = !box.value.trim() ? "" : hits.length ? `${at + 1} of ${hits.length}` : "No hits";
  }

  function close() {
    if (bar.hidden) return;
    clear();
    box.value = "";
    tell();
    bar.hidden = true;
    if (before && before.isConnected) before.focus({ preventScroll: true });
    else box.blur();
    announce("Search closed");
  }

  box.addEventListener("input", search);
  box.addEventListener("keydown", (event) => {
    if (event.key === "Enter") {
      event.preventDefault();
      go(event.shiftKey ? -1 : 1);
    } else if (event.key === "Escape") {
      event.preventDefault();
      event.stopPropagation();
      close();
    }
  });

  return {
    open() {
      if (bar.hidden) before = document.activeElement;
      bar.hidden = false;
      box.focus();
      box.select();
    },
    close,
    /** Another example was drawn: what is searched for stays, its hits are looked for anew. */
    again() {
      hits = [];
      at = -1;
      if (!bar.hidden) search();
    },
  };
}
