namespace Shinano.Control.Api.Xend;

/// <param name="Target">Where to.</param>
/// <param name="Live">Most of the memory is sent while the domain runs.</param>
public sealed record MigrateRequest(MigrationTarget Target, bool Live);
