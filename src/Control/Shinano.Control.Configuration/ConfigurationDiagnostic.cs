namespace Shinano.Control.Configuration;

/// <summary>One thing to say about a configuration text.</summary>
/// <param name="Severity">Whether a domain can be made of the text in spite of it.</param>
/// <param name="Source">File name as the user gave it, or <see cref="ConfigurationText.CommandLine"/>.</param>
/// <param name="Position">Where; null when the message is about the whole text (a missing key).</param>
/// <param name="Key">The key concerned, if any.</param>
/// <param name="Message">What is wrong and what would be right.</param>
public sealed record ConfigurationDiagnostic(
    DiagnosticSeverity Severity, string Source, SourcePosition? Position, string? Key, string Message)
{
    /// <summary>The form compilers use: <c>file:line:column: error: message</c>.</summary>
    public override string ToString()
    {
        string place = Position is { } position ? $"{Source}:{position}" : Source;
        return $"{place}: {(Severity == DiagnosticSeverity.Error ? "error" : "warning")}: {Message}";
    }
}
