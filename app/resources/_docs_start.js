// Shows one document; where there are several, links above it lead to the others.
{
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
    url: shown.url,
    dom_id: "#swagger-ui",
    deepLinking: true,
    requestInterceptor: slipway.withToken,
  });
}
