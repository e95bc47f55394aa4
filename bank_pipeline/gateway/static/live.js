// Keeps the changing part of a page equal to what the server sends. Without it the page still
// works: it shows how things were when it was loaded.
const live = document.getElementById("live");
if (live && "EventSource" in window) {
  let source;

  const show = (html) => {
    // Whoever is about to answer a question must not lose what they chose.
    if (live.querySelector("input:checked")) return;
    const focused = live.contains(document.activeElement) && document.activeElement.id;
    live.innerHTML = html;
    if (focused && document.getElementById(focused)) document.getElementById(focused).focus();
  };
  const follow = () => {
    source = new EventSource(live.dataset.from);
    source.onmessage = (event) => show(event.data);
    // An answer that is no stream ends it for good, as when the service was away or the session
    // is over: try again for as long as the page is open, and let a reload tell what it is.
    source.onerror = () => { if (source.readyState === 2) setTimeout(follow, 10000); };
  };
  window.addEventListener("pagehide", () => source.close());
  follow();
}
