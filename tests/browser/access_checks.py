"""What a script can tell of how well a page can be used: names, sizes for fingers, contrast, focus, what lies over what."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page

FINGER_PX = 44
# WCAG 2.2: 4.5 : 1 for text, 3 : 1 where it is large
_SHARED = r"""
const controls = () => [...document.querySelectorAll('button, a[href], input:not([type=hidden]), select, textarea, summary, [role=option], [tabindex="0"]')]
  .filter((e) => e.checkVisibility({visibilityProperty: true}) && e.getBoundingClientRect().width > 1)
  .filter((e) => !document.querySelector('dialog[open]') || e.closest('dialog[open]'));
const nameOf = (e) => {
  const by = e.getAttribute('aria-labelledby');
  if (by) return by.split(' ').map((id) => document.getElementById(id)?.textContent || '').join(' ').trim();
  if (e.getAttribute('aria-label')) return e.getAttribute('aria-label');
  if (e.labels && e.labels.length) return [...e.labels].map((l) => l.textContent).join(' ').trim();
  const copy = e.cloneNode(true);
  copy.querySelectorAll('[aria-hidden=true]').forEach((one) => one.remove());
  return copy.textContent.trim() || e.title || '';
};
const told = (e) => `${e.tagName.toLowerCase()}.${e.className} “${nameOf(e).replace(/\s+/g, ' ').slice(0, 40)}”`;
"""
_NAMELESS = f"() => {{ {_SHARED} return controls().filter((e) => !nameOf(e)).map(told); }}"
_SMALL = f"""(least) => {{ {_SHARED}
  return controls().filter((e) => !e.matches('[role=region]')).filter((e) => {{
    const box = e.getBoundingClientRect();
    return Math.round(box.width) < least || Math.round(box.height) < least;
  }}).map((e) => `${{told(e)}} ${{Math.round(e.getBoundingClientRect().width)}} × ${{Math.round(e.getBoundingClientRect().height)}}`);
}}"""
_COVERED = f"""() => {{ {_SHARED}
  return controls().filter((e) => {{
    const box = e.getBoundingClientRect();
    const x = box.x + box.width / 2, y = box.y + box.height / 2;
    // what scrolls may lie outside of what is seen of it
    const room = e.closest('.lc-answer-scroll, .lc-view, .lc-markdown, .lc-dialog, body:not(.lc-body)');
    const seen = room === document.body ? {{top: 0, bottom: innerHeight}} : room && room.getBoundingClientRect();
    if (seen && (y < seen.top || y > seen.bottom)) return false;
    const there = document.elementFromPoint(x, y);
    return !there || !(there === e || e.contains(there) || there.contains(e));
  }}).map(told);
}}"""
_PALE = r"""() => {
  const canvas = Object.assign(document.createElement('canvas'), {width: 1, height: 1}).getContext('2d', {willReadFrequently: true});
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3]));
  const luminance = (c) => {
    const [r, g, b] = c.map((v) => (v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (e) => {
    const layers = [];
    for (let one = e; one; one = one.parentElement) {
      const colour = rgba(getComputedStyle(one).backgroundColor);
      if (colour[3] > 0) layers.push(colour);
      if (colour[3] >= 1) break;
    }
    return layers.reverse().reduce((below, top) => over(top, below), document.documentElement.classList.contains('dark') ? [16, 20, 34] : [255, 255, 255]);
  };
  const found = new Set();
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const e = texts.currentNode.parentElement;
    if (!texts.currentNode.textContent.trim() || e.closest('.material-symbols-outlined, script, style, .gd-sr, [disabled]')) continue;
    if (!e.checkVisibility({visibilityProperty: true, opacityProperty: true}) || e.getBoundingClientRect().width < 2) continue;
    const style = getComputedStyle(e), below = behind(e);
    const [a, b] = [luminance(over(rgba(style.color), below)), luminance(below)];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const size = parseFloat(style.fontSize);
    if (ratio < (size >= 24 || (size >= 18.6 && style.fontWeight >= 700) ? 3 : 4.5)) found.add(`“${texts.currentNode.textContent.trim().slice(0, 30)}” ${ratio.toFixed(2)} : 1`);
  }
  return [...found];
}"""
_FOCUSED = f"""() => {{ {_SHARED}
  const e = document.activeElement;
  if (!e || e === document.body) return null;
  const ringed = (one) => one && getComputedStyle(one).outlineStyle !== 'none' && getComputedStyle(one).outlineWidth !== '0px';
  const box = e.getBoundingClientRect();
  return [told(e), (ringed(e) || ringed(e.parentElement)) && box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth];
}}"""


def troubles(page: Page, *, finger: bool = False) -> dict[str, Any]:
    """Return what is wrong with the page as it is now, by kind; {} if nothing is. `finger`: everything takes a finger."""
    page.wait_for_function("document.getAnimations().every((one) => one.playState !== 'running')")
    found = {
        "without a name": page.evaluate(_NAMELESS),
        "pale": page.evaluate(_PALE),
        "covered or outside": page.evaluate(_COVERED),
        "too small": page.evaluate(_SMALL, FINGER_PX) if finger else [],
        "too wide": page.evaluate("Math.max(0, document.documentElement.scrollWidth - innerWidth)"),
    }
    return {kind: told for kind, told in found.items() if told}


def unseen_focus(page: Page, steps: int) -> list[str]:
    """Press Tab so often, and return what had the focus without a ring around it, or outside of the window."""
    lost = []
    for _ in range(steps):
        page.keyboard.press("Tab")
        found = page.evaluate(_FOCUSED)
        if found is not None and not found[1]:
            lost.append(found[0])
    return lost
