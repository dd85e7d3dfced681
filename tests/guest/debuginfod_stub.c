/*
 * In the place of libdebuginfod.so.1, which Debian's gdb is linked with: it fetches debug files from the network, of which a test guest has none, and needs
 * three dozen further packages. gdb does without it once debuginfod_begin gives NULL.
 */
#include <stddef.h>

void *debuginfod_begin(void) { return NULL; }
void debuginfod_end(void *client) { (void)client; }
void debuginfod_set_progressfn(void *client, void *function) { (void)client; (void)function; }
void debuginfod_set_user_data(void *client, void *data) { (void)client; (void)data; }
void *debuginfod_get_user_data(void *client) { (void)client; return NULL; }
const char *debuginfod_get_url(void *client) { (void)client; return NULL; }
int debuginfod_add_http_header(void *client, const char *header) { (void)client; (void)header; return -38; }
int debuginfod_find_debuginfo(void *client, const void *id, int size, char **path) { (void)client; (void)id; (void)size; (void)path; return -38; }
int debuginfod_find_executable(void *client, const void *id, int size, char **path) { (void)client; (void)id; (void)size; (void)path; return -38; }
int debuginfod_find_source(void *client, const void *id, int size, const char *name, char **path)
{
    (void)client; (void)id; (void)size; (void)name; (void)path;
    return -38;
}
int debuginfod_find_section(void *client, const void *id, int size, const char *section, char **path)
{
    (void)client; (void)id; (void)size; (void)section; (void)path;
    return -38;
}
