// Which cases this page has, so that no other reviewer gets them: kept while the page is looked at, given back when it is left.

const BEAT_MS = 60000; // a third of the time that a claim lasts

/** `cases()` are those that the page knows, the one that is shown first; `deciding` holds reviews whose decision is on its way.
 * `send(body, options)` resolves to the server's answer. `changed(found)` is called when the case that is shown was the
 * page's and is not any more, or the other way round. */
export function makeClaims({ cases, deciding, send, changed }) {
  const mine = new Set();

  /** Take in cases that came from the server: those that nobody else has are this page's now. */
  function note(incoming) {
    for (const one of incoming) {
      if (one.decided || one.elsewhere) mine.delete(one.review);
      else mine.add(one.review);
    }
  }

  /** Forget a case that was decided. */
  function drop(review) {
    mine.delete(review);
  }

  /** The claims that are to be given back, because their cases are not ahead any more. They are not this page's from now on. */
  function leave() {
    const ahead = new Set([...cases().map((one) => one.review), ...deciding]);
    const gone = [...mine].filter((one) => !ahead.has(one));
    gone.forEach(drop);
    return gone;
  }

  async function beat() {
    const shown = cases()[0];
    if (document.hidden || (!mine.size && !shown)) return;
    const gone = leave();
    const wanted = new Set([...mine, ...(shown && !shown.decided ? [shown.review] : [])]);
    try {
      const told = await send({ do: "hold", hold: [...wanted], leave: gone });
      const held = new Set(told.held);
      const had = shown && mine.has(shown.review);
      for (const one of wanted) {
        if (held.has(one)) mine.add(one);
        else mine.delete(one);
      }
      if (shown && shown === cases()[0] && !shown.decided && (held.has(shown.review) !== had || told.decided.includes(shown.review))) changed(shown);
    } catch {
      // not reached, or signed out: the next sign of life tells, or deciding does
    }
  }

  window.addEventListener("pagehide", () => {
    if (mine.size) send({ do: "hold", leave: [...mine] }, { keepalive: true }).catch(() => {});
    mine.clear();
  });
  window.addEventListener("pageshow", (event) => event.persisted && beat());
  document.addEventListener("visibilitychange", beat);
  setInterval(beat, BEAT_MS);
  return { note, drop, leave };
}
