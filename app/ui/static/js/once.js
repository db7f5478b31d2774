// @ts-check
// What is shown once: says whether it was copied, and is not sent again by reloading.

const page = /** @type {HTMLElement | null} */ (document.querySelector(".once"));
const kept = document.getElementById("kept");

/** @param {string} text */
function note(text) {
  if (!kept) return;
  kept.textContent = text;
  kept.closest(".banner")?.classList.replace("warn", "good");
}

// Reloading asks for the list then, and not for the form to be sent again.
if (page?.dataset.after) history.replaceState(null, "", page.dataset.after);

document.addEventListener("slip-copied", () => note("Copied. It is not shown again."));
document.addEventListener("click", (event) => {
  const link = /** @type {Element} */ (event.target).closest("a[data-kept]");
  if (link) note("Downloaded. It is not shown again.");
});
