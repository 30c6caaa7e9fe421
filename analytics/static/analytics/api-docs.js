// Draws the API's description: Swagger UI where its element stands, ReDoc where that one does.
"use strict";

(() => {
  const swagger = document.getElementById("swagger-ui");
  if (swagger) {
    SwaggerUIBundle({
      url: swagger.dataset.document,
      domNode: swagger,
      presets: [SwaggerUIBundle.presets.apis],
      layout: "BaseLayout",
      deepLinking: false, // its links would stand within the buttons that open an operation
      displayRequestDuration: true,
      validatorUrl: null, // it would send the document to a server elsewhere
    });
  }
  const redoc = document.getElementById("redoc");
  if (redoc) {
    Redoc.init(redoc.dataset.document, { nonce: redoc.dataset.nonce, hideDownloadButton: true }, redoc);
  }
})();
