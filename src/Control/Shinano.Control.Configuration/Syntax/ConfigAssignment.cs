namespace Shinano.Control.Configuration.Syntax;

/// <summary><c>key = value</c>, or <c>key += value</c>.</summary>
/// <param name="Offset">Index of the key's first character.</param>
internal sealed record ConfigAssignment(int Offset, string Key, bool IsAppend, ConfigValue Value);
