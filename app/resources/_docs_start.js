// Shows one document; where there are several, links above it lead to the others.
{
  const root = new URL("..", document.currentScript.src).href; // whatever a proxy puts before it
  const asked = new URLSearchParams(location.search).get("api");
  const shown = slipwayDocuments.find((document) => document.name === asked) ?? slipwayDocuments[0];
  if (slipwayDocuments.length > 1) {
    const list = document.getElementById("documents");
    for (const { name, title } of slipwayDocuments) {
      const link = document.createElement("a");
      link.textContent = title;
      link.href = `?api=${encodeURIComponent(name)}`;
      if (name === shown.name) link.setAttribute("aria-current", "page");
      list.append(link, " ");
    }
  }
  SwaggerUIBundle({
    url: root + shown.url.slice(1),
    dom_id: "#swagger-ui",
    deepLinking: true,
    requestInterceptor: slipway.withToken,
  });
}
