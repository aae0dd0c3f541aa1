// The market page follows the market: the stream says which mark each part should show, a part with another is read anew.
"use strict";

const marks = {};
let stream = null;

function choosing(part) {
  return part.contains(document.activeElement) && document.activeElement.matches("input, select, textarea");
}

function bringUp(name) {
  for (const part of document.querySelectorAll(name ? `[data-told="${name}"]` : "[data-told]")) {
    const mark = marks[part.dataset.told];
    if (mark !== undefined && mark !== part.dataset.mark && !choosing(part)) htmx.trigger(part, "told");
  }
}

// While nobody looks nothing is followed; the stream begins with all marks, so whatever happened meanwhile is caught up.
// A browser opens a broken line again by itself, unless it was refused.
function follow() {
  const root = document.querySelector("[data-stream]");
  if (stream) stream.close();
  stream = null;
  if (!root || document.hidden) return;
  stream = new EventSource(root.dataset.stream);
  stream.onerror = () => {
    if (stream && stream.readyState === EventSource.CLOSED) setTimeout(follow, 5000);
  };
  for (const name of ["cycle", "gate", "indication", "book"]) {
    stream.addEventListener(name, (event) => {
      marks[name] = event.data;
      bringUp(name);
    });
  }
}

document.addEventListener("visibilitychange", follow);
document.addEventListener("focusout", () => setTimeout(() => bringUp()));
addEventListener("pagehide", () => stream && stream.close());
addEventListener("pageshow", (event) => event.persisted && follow());
follow();

// What is swapped in is parsed as if there were no scripts: pictures for readers without them would be fetched for nobody.
document.addEventListener("htmx:beforeSwap", (event) => {
  event.detail.serverResponse = event.detail.serverResponse.replace(/<noscript>[^]*?<\/noscript>/g, "");
});
