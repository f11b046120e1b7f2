"use strict";
const frames = [...document.querySelectorAll("#graph div")];
function zoom(x, w) {
  for (const f of frames) {
    const fx = +f.dataset.x, fw = +f.dataset.w;
    const left = Math.max(0, (fx - x) / w), right = Math.min(1, (fx + fw - x) / w);
    f.hidden = right - left <= 0;
    f.style.left = 100 * left + "%";
    f.style.width = 100 * Math.max(0, right - left) + "%";
    f.classList.toggle("off", fx < x - 1e-9 || fx + fw > x + w + 1e-9);
  }
}
for (const f of frames) {
  const open = () => zoom(+f.dataset.x, +f.dataset.w);
  f.addEventListener("click", open);
  f.addEventListener("keydown", e => { if (e.key === "Enter") open(); });
}
document.getElementById("reset").addEventListener("click", () => zoom(0, 1));
document.addEventListener("keydown", e => { if (e.key === "Escape") zoom(0, 1); });
document.getElementById("search").addEventListener("input", e => {
  const wanted = e.target.value.toLowerCase();
  let n = 0;
  for (const f of frames) {
    const hit = wanted !== "" && f.dataset.n.toLowerCase().includes(wanted);
    f.classList.toggle("hit", hit);
    if (hit) n++;
  }
  document.getElementById("found").textContent = wanted === "" ? "" : n + " found";
});
