// Time on task: runs while somebody is at it; a pause longer than the cap, and a hidden tab, stop it.

const IDLE_CAP_MS = 60000;

export function makeClock(now = () => performance.now()) {
  let worked = 0;
  let last = null; // since when time runs; null: it does not
  const clock = {};

  function count() {
    if (last === null) return;
    const at = now();
    worked += Math.min(at - last, IDLE_CAP_MS);
    last = at;
  }

  clock.start = (ms = 0) => {
    worked = ms;
    last = document.hidden ? null : now();
  };
  clock.touch = () => {
    if (document.hidden) return;
    if (last === null) last = now();
    else count();
  };
  clock.hide = () => {
    count();
    last = null;
  };
  clock.read = () => {
    count();
    return Math.round(worked);
  };
  return clock;
}

/** The pace of the last answers: per hour of time worked, or null before there are three. */
export function paceOf(durations) {
  if (durations.length < 3) return null;
  const recent = durations.slice(-30);
  const total = recent.reduce((sum, ms) => sum + ms, 0);
  return total > 0 ? (recent.length / total) * 3600000 : null;
}
