// A test double of the domain process: it keeps the contract of IDomainProcess and runs no guest. What it does is told by words of the domain's
// command line (see FakeBehaviour) and by what is typed at its console: "poweroff", "reboot", "crash", "watchdog", "die".
using System.Net.Sockets;
using Shinano.Control.Api.Domains;
using Shinano.Control.FakeDomain;

if (args is not ["domain", "--spec", string specPath])
{
    await Console.Error.WriteLineAsync("usage: domain --spec FILE");
    return 2;
}

DomainSpec spec = DomainSpecFile.Read(specPath);
FakeBehaviour behaviour = new(spec.CommandLine);
if (behaviour.Has("exit-early"))
{
    await Console.Error.WriteLineAsync("fake: something went wrong early");
    return 1;
}

if (behaviour.Has("fail-early"))
{
    DomainSpecFile.WriteFailure(spec.FailurePath, new DomainFailure(DomainFailureCode.CpuEngineUnavailable, "no such engine here"));
    return 1;
}

using FakeConsole console = new(spec.Console);
using FakeMachine machine = new(spec, behaviour, console);
console.OnLine = machine.Type;
console.Listen();
using Socket listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
listener.Bind(new UnixDomainSocketEndPoint(spec.ControlSocketPath));
listener.Listen();
_ = Task.Run(async () =>
{
    while (true)
    {
        Socket client = await listener.AcceptAsync();
        (_, IDomainEvents events) = DomainControlChannel.Serve(new NetworkStream(client, ownsSocket: true), machine);
        machine.Subscribe(events);
    }
});
await machine.Ended;
File.Delete(spec.ControlSocketPath);
return 0;
