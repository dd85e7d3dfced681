namespace Shinano.Control.Configuration;

/// <summary>What xm hands in: a file's text and the <c>key=value</c> arguments that override it.</summary>
/// <param name="FileName">As the user gave it, for messages.</param>
/// <param name="Text">The file's content; empty when only overrides were given.</param>
/// <param name="Overrides">Each <c>key=value</c>; a value that is not a quoted string, a number or a list is taken as a plain string.</param>
public sealed record ConfigurationText(string FileName, string Text, IReadOnlyList<string> Overrides)
{
    /// <summary>Source name of diagnostics about overrides.</summary>
    public const string CommandLine = "<command line>";

    /// <summary>Longest text that is looked at, in characters.</summary>
    public const int MaximumLength = 1 << 20;
}
