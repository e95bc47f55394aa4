// Keeps the changing part of a page equal to what the server sends. Without it the page still
// works: it shows how things were when it was loaded.
const live = document.getElementById("live");
if (live && "EventSource" in window) {
  const source = new EventSource(live.dataset.from);
  source.onmessage = (event) => {
    // Whoever is about to answer a question must not lose what they chose.
    if (live.contains(document.activeElement) && document.activeElement.type === "radio") return;
    const focused = document.activeElement && document.activeElement.id;
    live.innerHTML = event.data;
    if (focused && document.getElementById(focused)) document.getElementById(focused).focus();
  };
  window.addEventListener("pagehide", () => source.close());
}
