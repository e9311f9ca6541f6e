"""What scripts/dashboard-check.py asks of every page, and names that would like to be scripts."""

# MARK: What is asked of every page

# Text whose contrast with what is behind it is less than 4.5.
CONTRAST = r"""(() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const parse = (text) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = text;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3]));
  const light = (color) => {
    const [r, g, b] = color.map((v) => v / 255).map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    const layers = [];
    for (let each = element; each; each = each.parentElement) layers.push(parse(getComputedStyle(each).backgroundColor));
    return layers.reverse().reduce((under, top) => over(top, under), [255, 255, 255]);
  };
  const found = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.checkVisibility() || element.closest(".hidden, .skip, noscript")) continue;
    const style = getComputedStyle(element);
    const under = behind(element);
    const text = over(parse(element instanceof SVGElement ? style.fill : style.color), under);
    const [a, b] = [light(text), light(under)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) found.add(`${ratio.toFixed(2)}: ${walker.currentNode.data.trim().slice(0, 40)}`);
  }
  return [...found];
})()"""

# Text that is cut off, and a page that is wider than the window.
CLIPPED = r"""(() => {
  const found = [];
  // Not the window's own width: on a phone that grows with what leaves it.
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > width + 1) found.push(`the page is ${document.documentElement.scrollWidth} wide`);
  for (const each of document.querySelectorAll("body *")) {
    if (!each.checkVisibility() || each.closest(".hidden, .skip, .scroll, thead, pre, input, select, textarea, svg, dialog")) continue;
    const box = each.getBoundingClientRect();
    const clips = ["hidden", "clip", "auto", "scroll"].includes(getComputedStyle(each).overflowX);
    if (clips && each.scrollWidth > each.clientWidth + 1) found.push(`${each.tagName}.${each.className} is cut`);
    if (box.width > 0 && (box.right > width + 1 || box.left < -1)) found.push(`${each.tagName}.${each.className} leaves the window`);
  }
  for (const text of document.querySelectorAll("svg.chart text")) {
    const [box, frame] = [text.getBoundingClientRect(), text.ownerSVGElement.getBoundingClientRect()];
    if (box.left < frame.left - 1 || box.right > frame.right + 1) found.push(`${text.textContent} is cut in a chart`);
  }
  return [...new Set(found)];
})()"""

# What a name must never become.
INTRUDERS = r"""(() => {
  const found = [...document.querySelectorAll("main script, main iframe, main object, main embed, main base, main img, "
    + "main style, main link, main meta, main video, main audio, main math, main marquee, main foreignObject")].map((each) => each.outerHTML);
  for (const each of document.querySelectorAll("*")) {
    for (const { name, value } of each.attributes) {
      if (/^on/i.test(name) || name === "style" && each.closest("main")) found.push(`${name}=${value}`);
      if (["href", "src", "xlink:href", "action", "formaction"].includes(name) && each.closest("main")
        && !/^(#|\/v1\/)/.test(value)) found.push(`${name}=${value}`);
    }
  }
  if (window.ran !== undefined) found.push(`it ran: ${window.ran}`);
  return found;
})()"""

# MARK: Names that would like to be scripts


def corpus():
    """More than 200 names, each with a number by which it is found again, each of which sets `ran` if it runs."""
    call = "window.ran={n}"
    tags = [
        "img src=x",
        "svg",
        "body",
        "video",
        "audio",
        "iframe",
        "input autofocus",
        "details open",
        "marquee",
        "object data=x",
        "math",
        "select autofocus",
        "textarea autofocus",
        "style",
        "link rel=stylesheet href=x",
    ]
    handlers = ["onerror", "onload", "onfocus", "ontoggle", "onstart", "onmouseover", "onanimationstart"]
    shapes = [f"<{tag} {handler}={call}>" for tag in tags for handler in handlers]
    shapes += [
        f"{begin}<script>{call}</script>"
        for begin in (
            "",
            '"',
            "'",
            '">',
            "'>",
            "</title>",
            "</textarea>",
            "</style>",
            "</script>",
            "-->",
            "]]>",
            "`",
            '\\"',
            "</td>",
            "</pre>",
            "</option>",
            "\u202e",
            "\u200b",
            "\x00",
            "\ud7ff",
            "%3Cscript%3E",
            "&lt;",
            "\n",
            "\t",
            "${",
            "{{",
            "<%",
        )
    ]
    shapes += [
        f"javascript:{call}",
        f"JaVaScRiPt:{call}",
        f" javascript:{call}",
        f"java\nscript:{call}",
        f"data:text/html,<script>{call}</script>",
        f"vbscript:{call}",
        f"//evil.invalid/x.js#{{n}}",
        f"https://evil.invalid/{{n}}",
        f'#" onclick="{call}',
        f'/v1/../x" onclick="{call}',
        f'" onmouseover="{call}" x="',
        f"' onfocus='{call}' autofocus x='",
        f"` onload=`{call}`",
        f"x onerror={call}//",
        "${window.ran={n}}",
        "{{window.ran={n}}}",
        "{{constructor.constructor('window.ran={n}')()}}",
        "<%= {n} %>",
        "#{window.ran={n}}",
        "<svg><animate onbegin=window.ran={n} attributeName=x dur=1s>",
        "<svg><use href=data:image/svg+xml,<svg/onload=window.ran={n}>>",
        "<a href=javascript:window.ran={n}>click",
        "<form action=javascript:window.ran={n}><button>",
        "<base href=//evil.invalid/{n}/>",
        "<meta http-equiv=refresh content=0;url=//evil.invalid/{n}>",
        "<link rel=import href=//evil.invalid/{n}>",
        "<math><mtext></form><form><mglyph><style></math><img src onerror=window.ran={n}>",
        "<template><img src=x onerror=window.ran={n}></template>",
        '<noscript><p title="</noscript><img src=x onerror=window.ran={n}>">',
        "<!--><img src=x onerror=window.ran={n}>-->",
        "<![CDATA[><img src=x onerror=window.ran={n}>]]>",
        "<?xml><script>window.ran={n}</script>",
        "<x:script xmlns:x='http://www.w3.org/1999/xhtml'>window.ran={n}</x:script>",
        "__proto__{n}",
        "constructor{n}",
        "toString{n}",
        "hasOwnProperty{n}",
        "then{n}",
    ]
    shapes += [
        f"<{tag}>{{n}}</{tag}>"
        for tag in (
            "b",
            "i",
            "h1",
            "table",
            "ul",
            "plaintext",
            "xmp",
            "listing",
            "title",
            "noembed",
            "frameset",
            "dialog open",
            "button autofocus",
            "keygen",
            "isindex",
            "blink",
            "applet",
            "sub",
            "pre",
            "code",
            "center",
            "font color=red",
            "s",
            "u",
            "output",
            "slot",
            "summary",
            "menu",
            "dir",
            "layer",
            "bgsound",
            "image src=x onerror=window.ran={n}",
            "embed src=javascript:window.ran={n}",
            "portal src=//evil.invalid",
        )
    ]
    shapes += [f"\u202e{{n}}{kind}" for kind in ("gpj.exe", "<script>", "\u2066x\u2069", "\ufeff")] + [
        "A" * 300 + "{n}",
        "\u0300" * 60 + "{n}",
        "\U0001f30d" * 40 + "{n}",
    ]
    return [f"n{number}n" + shape.replace("{n}", str(number)) for number, shape in enumerate(shapes)]


# Gives every text of the API's answers one of the names: of the keys that are free text, or of all.
TAMPER = r"""(() => {
  const names = NAMES;
  const free = new Set(["label", "region", "text", "reason", "name", "detail", "hint", "title", "item", "capability", "version", "outcome_text",
    "advice", "setting", "engine", "state_text", "clock_warning", "failure", "refusal", "does_not_show", "id", "kind_text", "source"]);
  const listed = new Set(["obstacles", "addresses", "connections", "features", "hours", "args", "run_isolation"]);
  window.given = 0;
  window.everything = false;
  const next = () => names[window.given++ % names.length];
  const change = (value, key) => {
    if (typeof value === "string") return window.everything || free.has(key) ? next() : value;
    if (Array.isArray(value)) return value.map((each) => (typeof each === "string" && listed.has(key) ? next() : change(each, key)));
    if (value && typeof value === "object") {
      const changed = Object.fromEntries(Object.entries(value).map(([name, each]) => [name, change(each, name)]));
      if ("job_id" in changed && !("label" in changed)) changed.label = next();
      if ("peer_id" in changed || "did" in changed) changed.region = next();
      return changed;
    }
    return value;
  };
  const real = window.fetch;
  window.fetch = async (path, options) => {
    const answer = await real(path, options);
    if (/^\/v1\/files\//.test(path)) return new Response(names.join("\n"), { status: answer.status });
    if (!/json$/.test(answer.headers.get("content-type") ?? "") || /sign-in|session/.test(path)) return answer;
    const text = JSON.stringify(change(await answer.json(), ""));
    return new Response(text, { status: answer.status, headers: { "content-type": "application/json" } });
  };
})()"""


# How much what is seen moves by itself, since `shift` was set to 0 last.
SHIFTS = r"""(() => {
  window.shift = 0;
  window.moved = [];
  new PerformanceObserver((list) => {
    for (const each of list.getEntries()) {
      if (each.hadRecentInput || each.startTime < (window.shiftFrom ?? 0)) continue;
      window.shift += each.value;
      window.moved.push(...each.sources.map(({ node }) => `${node?.nodeName} ${node?.className ?? ""}`));
    }
  }).observe({ type: "layout-shift" });
})()"""
