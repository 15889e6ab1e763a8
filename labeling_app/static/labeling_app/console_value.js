// What an answer must be, in words; and what of an old answer fits a form that was changed. No drawing here.

import { numberText, same, scalarText } from "./console_dom.js";

const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);

/** Return why `value` is no answer to `control`: [{path, message}]; [] when it is one. undefined is "not answered". */
export function problems(control, value, path = control.path || []) {
  if (value === undefined) return control.required ? [{ path, message: missing(control) }] : [];
  if (value === null && (control.nullable || control.kind === "json")) return [];
  const found = CHECKS[control.kind] ? CHECKS[control.kind](control, value, path) : [];
  return found.map((one) => (typeof one === "string" ? { path, message: one } : one));
}

function missing(control) {
  if (["choice", "class", "boolean"].includes(control.kind)) return "Pick one.";
  if (["scale", "number"].includes(control.kind)) return `Give a number${span(control)}.`;
  if (control.kind === "toggles") return "Pick what applies.";
  if (control.kind === "tags") return "Add at least one.";
  return "This must be filled in.";
}

function span({ minimum, maximum, above, below }) {
  const low = minimum ?? above;
  const high = maximum ?? below;
  if (low !== undefined && high !== undefined) return ` from ${numberText(low)} to ${numberText(high)}`;
  if (low !== undefined) return ` of at least ${numberText(low)}`;
  return high === undefined ? "" : ` of at most ${numberText(high)}`;
}

const CHECKS = {
  choice: (control, value) => (control.options.some((option) => same(option.value, value)) ? [] : ["Pick one of these."]),
  boolean: (control, value) => (value === true || value === false ? [] : ["Pick yes or no."]),
  class: checkText,
  text: checkText,
  number: checkNumber,
  scale: checkNumber,
  toggles: checkEntries,
  tags(control, value, path) {
    const found = checkEntries(control, value, path);
    if (found.length) return found;
    const wrong = value.map((entry) => checkText(control, entry)[0]).find(Boolean);
    return wrong ? [wrong] : [];
  },
  list(control, value, path) {
    const found = checkEntries(control, value, path);
    return found.concat(...value.map((entry, at) => problems(control.item, entry, [...path, at])));
  },
  group(control, value, path) {
    if (!isObject(value)) return ["This must be filled in."];
    return [].concat(
      ...control.children.map((child) => {
        const name = child.path[child.path.length - 1];
        return problems(child, value[name], [...path, name]);
      }),
    );
  },
};

function checkText(control, value) {
  if (typeof value !== "string") return ["Write a text."];
  const length = [...value].length;
  if (control.required && control.min_length && !length) return [missing(control)];
  if (control.min_length && length < control.min_length) {
    return [`Write at least ${control.min_length} characters: there are ${length}.`];
  }
  if (control.max_length !== undefined && length > control.max_length) {
    return [`Write at most ${control.max_length} characters: there are ${length}.`];
  }
  if (control.pattern && !matches(control.pattern, value)) return [`This must look like ${control.pattern}.`];
  return [];
}

function matches(pattern, value) {
  try {
    return new RegExp(pattern, "u").test(value);
  } catch {
    return true; // a pattern that browsers do not know: the server checks it
  }
}

function checkNumber(control, value) {
  if (typeof value !== "number" || !Number.isFinite(value)) return [`Give a number${span(control)}.`];
  if (control.integer && !Number.isInteger(value)) return ["Give a whole number."];
  const { minimum, maximum, above, below, step } = control;
  if (minimum !== undefined && value < minimum) return [`Give a number${span(control)}.`];
  if (maximum !== undefined && value > maximum) return [`Give a number${span(control)}.`];
  if (above !== undefined && value <= above) return [`Give a number above ${numberText(above)}.`];
  if (below !== undefined && value >= below) return [`Give a number below ${numberText(below)}.`];
  if (step && Math.abs(value / step - Math.round(value / step)) > 1e-9) return [`Give a multiple of ${numberText(step)}.`];
  return [];
}

function checkEntries(control, value) {
  if (!Array.isArray(value)) return [missing(control)];
  const { min_items: least, max_items: most } = control;
  if (least && value.length < least) return [least === 1 ? missing(control) : `Give at least ${least}; there are ${value.length}.`];
  if (most !== undefined && value.length > most) return [`Give at most ${most}; there are ${value.length}.`];
  const twice = control.must_differ && value.find((entry, at) => value.slice(0, at).some((other) => same(other, entry)));
  return twice === undefined || twice === false ? [] : [`“${scalarText(twice)}” is there twice.`];
}

/** Return [what of `value` fits the controls, what does not as [name, value]]. */
export function fitting(controls, value) {
  if (value === undefined || value === null) return [undefined, []];
  if (controls.length === 1 && !controls[0].path.length) {
    return problems(controls[0], value).length ? [undefined, [["", value]]] : [value, []];
  }
  if (!isObject(value)) return [undefined, [["", value]]];
  const kept = {};
  const lost = [];
  for (const [name, part] of Object.entries(value)) {
    const control = controls.find((one) => one.path[one.path.length - 1] === name);
    if (control && !problems(control, part).length) kept[name] = part;
    else lost.push([name, part]);
  }
  return [Object.keys(kept).length ? kept : undefined, lost];
}
