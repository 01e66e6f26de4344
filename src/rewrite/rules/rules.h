// The rewrite rules, one file each.
#pragma once

#include "rewrite/editor.h"

namespace hayate {

void fold_constants(Editor* editor);        // nodes whose inputs are known become constants; shape chains with them
void drop_identities(Editor* editor);       // nodes that give what they are given
void share_equal_nodes(Editor* editor);     // common subexpressions
void merge_transposes(Editor* editor);      // Transpose after Transpose
void fold_padding(Editor* editor);          // Pad with zeros into the Conv after it
void drop_dead(Editor* editor);             // nodes and constants that no output needs

}  // namespace hayate
