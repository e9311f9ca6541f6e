#include "CDashboard.h"

// The files are in the program, so that it needs nothing beside it. `#embed` is of C23 and clang has it since 19; as
// lists of numbers in Swift the same files took 17 seconds and a gigabyte of memory to compile, here they take none.
#pragma clang diagnostic ignored "-Wc23-extensions"

static const uint8_t api_js[] = {
#embed "files/api.js"
};
static const uint8_t app_js[] = {
#embed "files/app.js"
};
static const uint8_t audit_js[] = {
#embed "files/audit.js"
};
static const uint8_t cbor_js[] = {
#embed "files/cbor.js"
};
static const uint8_t charts_js[] = {
#embed "files/charts.js"
};
static const uint8_t credit_js[] = {
#embed "files/credit.js"
};
static const uint8_t dom_js[] = {
#embed "files/dom.js"
};
static const uint8_t formats_js[] = {
#embed "files/formats.js"
};
static const uint8_t icon_svg[] = {
#embed "files/icon.svg"
};
static const uint8_t index_html[] = {
#embed "files/index.html"
};
static const uint8_t job_js[] = {
#embed "files/job.js"
};
static const uint8_t ledger_js[] = {
#embed "files/ledger.js"
};
static const uint8_t logs_js[] = {
#embed "files/logs.js"
};
static const uint8_t mesh_js[] = {
#embed "files/mesh.js"
};
static const uint8_t pages_js[] = {
#embed "files/pages.js"
};
static const uint8_t style_css[] = {
#embed "files/style.css"
};
static const uint8_t submit_js[] = {
#embed "files/submit.js"
};
static const uint8_t theme_js[] = {
#embed "files/theme.js"
};
static const uint8_t tokens_js[] = {
#embed "files/tokens.js"
};
static const uint8_t words_js[] = {
#embed "files/words.js"
};
static const uint8_t workflows_js[] = {
#embed "files/workflows.js"
};

#define FILE_NAMED(name, array) {name, array, sizeof array}
static const dashboard_file files[] = {
    FILE_NAMED("api.js", api_js),
    FILE_NAMED("app.js", app_js),
    FILE_NAMED("audit.js", audit_js),
    FILE_NAMED("cbor.js", cbor_js),
    FILE_NAMED("charts.js", charts_js),
    FILE_NAMED("credit.js", credit_js),
    FILE_NAMED("dom.js", dom_js),
    FILE_NAMED("formats.js", formats_js),
    FILE_NAMED("icon.svg", icon_svg),
    FILE_NAMED("index.html", index_html),
    FILE_NAMED("job.js", job_js),
    FILE_NAMED("ledger.js", ledger_js),
    FILE_NAMED("logs.js", logs_js),
    FILE_NAMED("mesh.js", mesh_js),
    FILE_NAMED("pages.js", pages_js),
    FILE_NAMED("style.css", style_css),
    FILE_NAMED("submit.js", submit_js),
    FILE_NAMED("theme.js", theme_js),
    FILE_NAMED("tokens.js", tokens_js),
    FILE_NAMED("words.js", words_js),
    FILE_NAMED("workflows.js", workflows_js),
};

size_t dashboard_file_count(void) { return sizeof files / sizeof files[0]; }

dashboard_file dashboard_file_at(size_t index) { return files[index]; }
