#include "hayate/plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <simdjson.h>

#include "base/json.h"
#include "hardware/machine.h"

namespace hayate {
namespace {

constexpr int kPlanVersion = 1;

Error bad(std::string what) { return {Code::kInvalidArgument, "plan", std::move(what)}; }

// One key's value into its place; false where the key is unknown.
bool take(Plan* plan, int64_t* version, std::string_view key, const simdjson::dom::element& value,
          simdjson::error_code* error) {
  const auto word = [&](std::string* to) {
    std::string_view text;
    *error = value.get(text);
    if (*error == simdjson::SUCCESS) *to = text;
    return true;
  };
  const auto number = [&](auto* to) {
    int64_t made = 0;
    *error = value.get(made);
    if (*error == simdjson::SUCCESS) *to = static_cast<std::remove_pointer_t<decltype(to)>>(made);
    return true;
  };
  const auto texts = [&](const simdjson::dom::element& from, std::vector<std::string>* to) {
    simdjson::dom::array array;
    *error = from.get(array);
    if (*error != simdjson::SUCCESS) return;
    for (const simdjson::dom::element& each : array) {
      std::string_view text;
      if (*error == simdjson::SUCCESS) *error = each.get(text);
      to->emplace_back(text);
    }
  };
  const auto buckets = [&](std::vector<std::vector<std::string>>* to) {
    simdjson::dom::array array;
    *error = value.get(array);
    if (*error != simdjson::SUCCESS) return true;
    for (const simdjson::dom::element& each : array)
      if (*error == simdjson::SUCCESS) texts(each, &to->emplace_back());
    return true;
  };
  if (key == "version") return number(version);
  if (key == "machine") return word(&plan->machine);
  if (key == "backend") return word(&plan->backend);
  if (key == "isa") return word(&plan->isa);
  if (key == "precision") return word(&plan->precision);
  if (key == "calibration") return word(&plan->calibration);
  if (key == "trees") return word(&plan->trees);
  if (key == "window") return number(&plan->window);
  if (key == "time_axis") return word(&plan->time_axis);
  if (key == "warm_up") return word(&plan->warm_up);
  if (key == "states") {
    texts(value, &plan->states);
    return true;
  }
  if (key == "batch_max") return number(&plan->batch_max);
  if (key == "threads") return number(&plan->threads);
  if (key == "spin_us") return number(&plan->spin_us);
  if (key == "piece_macs") return number(&plan->piece_macs);
  if (key == "ort_library") return word(&plan->ort_library);
  if (key == "ort_optimisation") return word(&plan->ort_optimisation);
  if (key == "ort_provider") return word(&plan->ort_provider);
  if (key == "shapes") return buckets(&plan->shapes);
  if (key == "shapes_max") return number(&plan->shapes_max);
  return false;
}

std::string list_text(const std::vector<std::string>& values) { return fmt::format("[{}]", fmt::join(values, ", ")); }

std::string texts_text(const std::vector<std::string>& texts) {
  std::vector<std::string> quoted;
  for (const std::string& text : texts) quoted.push_back(json_string(text));
  return list_text(quoted);
}

std::string buckets_text(const std::vector<std::vector<std::string>>& buckets) {
  std::vector<std::string> made;
  for (const std::vector<std::string>& bucket : buckets) made.push_back(texts_text(bucket));
  return list_text(made);
}

}  // namespace

Plan Plan::defaults(const Model&) { return {}; }

std::string Plan::this_machine() { return fingerprint(find_machine()); }

bool Plan::depends_on_machine() const {
  return !isa.empty() || (!trees.empty() && trees != "measured") || threads != 1 || !ort_library.empty() ||
         ort_provider != "CPU";
}

std::string Plan::to_json() const {
  return fmt::format(
      "{{\"version\": {}, \"machine\": {}, \"backend\": {}, \"isa\": {}, \"precision\": {}, \"calibration\": {}, "
      "\"trees\": {}, \"window\": {}, \"time_axis\": {}, \"states\": {}, \"warm_up\": {}, \"batch_max\": {}, "
      "\"threads\": {}, \"spin_us\": {}, \"piece_macs\": {}, \"ort_library\": {}, \"ort_optimisation\": {}, "
      "\"ort_provider\": {}, "
      "\"shapes\": {}, \"shapes_max\": {}}}",
      kPlanVersion, json_string(machine), json_string(backend), json_string(isa), json_string(precision),
      json_string(calibration), json_string(trees), window, json_string(time_axis), texts_text(states),
      json_string(warm_up), batch_max, threads, spin_us, piece_macs, json_string(ort_library),
      json_string(ort_optimisation), json_string(ort_provider), buckets_text(shapes), shapes_max);
}

Result<Plan> Plan::from_json(const std::string& text) {
  simdjson::dom::parser parser;
  simdjson::dom::object object;
  if (parser.parse(text).get(object) != simdjson::SUCCESS) return bad("is no JSON object");
  Plan plan;
  int64_t version = 0;
  for (const auto& [key, value] : object) {
    simdjson::error_code error = simdjson::SUCCESS;
    if (!take(&plan, &version, key, value, &error))
      return bad(fmt::format(
          "has an unknown key '{}'; keys are version, machine, backend, isa, precision, calibration, "
          "trees, window, time_axis, states, warm_up, batch_max, threads, spin_us, piece_macs, ort_library, "
          "ort_optimisation, ort_provider, shapes, shapes_max",
          key));
    if (error != simdjson::SUCCESS) return bad(fmt::format("'{}' has a value of the wrong type", key));
  }
  if (version != kPlanVersion) return bad(fmt::format("has version {}; version {} is read", version, kPlanVersion));
  return plan;
}

}  // namespace hayate
