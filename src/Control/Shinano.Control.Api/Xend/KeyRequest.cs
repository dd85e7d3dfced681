namespace Shinano.Control.Api.Xend;

/// <param name="Keys">A magic SysRq letter, or debug keys.</param>
public sealed record KeyRequest(string Keys);
