namespace Shinano.Control.Api.Xend;

public sealed record DumpResult(string Path, long Bytes);
