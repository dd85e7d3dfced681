using Shinano.Control.Configuration.Syntax;

namespace Shinano.Control.Configuration;

/// <summary>The value that counts for a key, and where it was given (no position on a command line).</summary>
internal sealed record ConfigurationEntry(string Key, ConfigValue Value, string Source, SourcePosition? Position, Func<int, SourcePosition>? Locate);
