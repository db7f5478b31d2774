// @ts-check
// Goes on by itself to where the reader signs out as well.

const link = /** @type {HTMLAnchorElement | null} */ (document.getElementById("away"));
if (link) location.replace(link.href);
