/**
 * iOS lays its keyboard over the page without resizing it; the visual viewport alone tells.
 * Elsewhere 100dvh (and interactive-widget in the page's head) is enough and nothing is set.
 */
export function followKeyboard() {
  const viewport = window.visualViewport;
  if (!viewport) return;
  const root = document.documentElement;
  const follow = () => {
    const isCovered = viewport.scale === 1 && window.innerHeight - viewport.height > 80;
    if (isCovered) {
      root.style.setProperty("--visible-height", `${viewport.height}px`);
      root.style.setProperty("--visible-top", `${viewport.offsetTop}px`);
    } else {
      root.style.removeProperty("--visible-height");
      root.style.removeProperty("--visible-top");
    }
  };
  viewport.addEventListener("resize", follow);
  viewport.addEventListener("scroll", follow);
}
