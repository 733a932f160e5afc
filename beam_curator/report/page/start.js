"use strict";
(async () => {
  try {
    const overview = await load("overview");
    const table = new Table(overview);
    showOverview(overview, (reason) => {
      table.change({ reason, search: "" });
      byId("search").value = "";
      byId("recordings").scrollIntoView();
    });
    showCharts(overview);
    showCompared(overview);
    showMaps(overview);
    byId("search").addEventListener("input", (event) => table.change({ search: event.target.value }));
    if (overview.recordings) await table.show();
    else byId("table").replaceChildren(element("p", { class: "note" }, "The sets hold no recordings."));
  } catch (error) {
    document.querySelector("main").prepend(element("p", { class: "note", role: "alert" }, error.message));
  }
})();
