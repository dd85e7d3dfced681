namespace Shinano.Control.Api.Xend;

/// <summary>A message about a configuration text.</summary>
/// <param name="IsError">Whether it prevents the domain.</param>
/// <param name="Text"><c>file:line:column: error: message</c>, ready to print.</param>
public sealed record DiagnosticMessage(bool IsError, string Text);
