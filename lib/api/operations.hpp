// What each row of the table of routes says about itself in the API's description.
#pragma once

#include "api/operation.hpp"

namespace sandboxd::api::operations {

void health(operation& it);
void live(operation& it);
void ready(operation& it);
void metrics(operation& it);
void version(operation& it);
void description(operation& it);
void compile(operation& it);
void mcp(operation& it);
void artifact(operation& it);
void execute(operation& it);
void continue_execution(operation& it);
void script(operation& it);
void examples(operation& it);
void example(operation& it);
void script_health(operation& it);
void runtimes(operation& it);
void sandbox_health(operation& it);
void create_sandbox(operation& it);
void list_sandboxes(operation& it);
void list_sandboxes_too(operation& it);  // under the collection's own path
void get_sandbox(operation& it);
void delete_sandbox(operation& it);
void execute_sandbox(operation& it);
void deploy(operation& it);
void list_deployments(operation& it);
void get_deployment(operation& it);
void delete_deployment(operation& it);
void put_files(operation& it);
void put_revision(operation& it);
void logs(operation& it);
void deployment_root(operation& it);
void deployment_path(operation& it);
void proxy_root(operation& it);
void proxy_path(operation& it);
void get_job(operation& it);
void delete_job(operation& it);
void create_key(operation& it);
void list_keys(operation& it);
void delete_key(operation& it);
void docs(operation& it);
void docs_asset(operation& it);
void playground(operation& it);
void playground_asset(operation& it);

}  // namespace sandboxd::api::operations
