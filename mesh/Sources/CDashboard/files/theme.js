// Before the first paint, so that nobody sees the wrong colours: what the reader chose, or the system's.
(() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const chosen = () => {
    try {
      return localStorage.getItem("theme");
    } catch {
      return null;
    }
  };
  const apply = () => {
    const theme = chosen() ?? (dark.matches ? "dark" : "light");
    document.documentElement.dataset.theme = theme === "dark" ? "dark" : "light";
  };
  apply();
  dark.addEventListener("change", apply);
  addEventListener("theme", apply);
})();