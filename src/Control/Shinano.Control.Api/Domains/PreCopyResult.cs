namespace Shinano.Control.Api.Domains;

/// <summary>What was sent of a running guest's memory.</summary>
/// <param name="Rounds">0 when nothing was.</param>
/// <param name="Pages">4 KiB pages, those that were sent more than once as often.</param>
/// <param name="Left">Pages that changed since.</param>
public sealed record PreCopyResult(int Rounds, long Pages, long Left);
