// Before the first paint: the face that was chosen here before, so that nothing flashes.
try {
  const theme = localStorage.getItem("taskqueue-theme");
  if (theme) document.documentElement.dataset.theme = theme;
} catch {
  // Storage may be forbidden: the system's own choice holds.
}
