// What a person has set once and finds again: whether a pick submits, whether the instructions are shown.

import { announce } from "./console_dom.js";
import { makeShelf } from "./console_storage.js";

/** `pick` is the switch, `side` the panel of instructions. */
export function makeHabits({ person, queueId, pick, side }) {
  const shelf = makeShelf(`golden-labeling.${person}.habit.`);
  const book = document.querySelector('[data-act="instructions"]');
  let pickSubmits = shelf.get("pick") === true;

  function draw() {
    pick.setAttribute("aria-checked", String(pickSubmits));
    book.setAttribute("aria-expanded", String(!side.hidden));
  }

  side.hidden = book.hidden || shelf.get(`instructions.${queueId}`) === false;
  draw();
  return {
    pickSubmits: () => pickSubmits,
    togglePick() {
      pickSubmits = !pickSubmits;
      shelf.put("pick", pickSubmits);
      draw();
      announce(pickSubmits ? "A pick submits" : "A pick does not submit");
    },
    toggleInstructions() {
      if (book.hidden) return;
      side.hidden = !side.hidden;
      shelf.put(`instructions.${queueId}`, !side.hidden);
      draw();
      if (!side.hidden) side.focus({ preventScroll: true });
    },
  };
}
