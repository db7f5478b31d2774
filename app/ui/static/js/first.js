// @ts-check
// Runs before anything is drawn: style sheets may then hide what scripts unfold, without a shift.
document.documentElement.classList.add("js");
