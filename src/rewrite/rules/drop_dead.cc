#include "rewrite/rules/rules.h"

namespace hayate {

void drop_dead(Editor* editor) {
  Graph& graph = editor->graph();
  for (size_t i = editor->node_count(); i-- > 0;) {
    Node& node = editor->node(i);
    bool needed = false;
    for (std::string& name : node.outputs) {
      if (name.empty()) continue;
      if (editor->use_count(name) > 0)
        needed = true;
      else if (node.outputs.size() > 1)
        name.clear();  // nobody asks for it
    }
    if (!needed && editor->alive(i)) editor->remove(&node);
  }
  std::erase_if(graph.constants, [&](const auto& entry) {
    if (editor->use_count(entry.first) > 0) return false;
    editor->count_change();
    return true;
  });
}

}  // namespace hayate
