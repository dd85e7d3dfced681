namespace Shinano.Control.Configuration;

/// <summary>Errors prevent a domain; warnings are shown and the domain is created (errors too with <c>--strict</c>).</summary>
public enum DiagnosticSeverity
{
    Warning,
    Error,
}
