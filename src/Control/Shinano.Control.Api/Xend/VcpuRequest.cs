namespace Shinano.Control.Api.Xend;

public sealed record VcpuRequest(int Vcpus);
