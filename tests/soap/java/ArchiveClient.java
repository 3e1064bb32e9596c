import edu.client.AddressType;
import edu.client.AppReceiptType;
import edu.client.EnvelopeType;
import edu.client.GetCanReceiveMessageRequestType;
import edu.client.NoarkExchange;
import edu.client.PutMessageRequestType;
import edu.client.SOAPport;
import edu.client.StatusMessageType;
import java.io.ByteArrayInputStream;
import java.net.URL;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import javax.xml.parsers.DocumentBuilderFactory;
import javax.xml.ws.BindingProvider;
import javax.xml.ws.soap.SOAPFaultException;

/** An archive written against the stubs that wsimport makes of the live WSDL. */
public class ArchiveClient {

    public static void main(String[] args) throws Exception {
        SOAPport port = new NoarkExchange(new URL(args[0])).getNoarkExchangePort();
        String letter = Files.readString(Path.of(args[1]));

        GetCanReceiveMessageRequestType question = new GetCanReceiveMessageRequestType();
        question.setReceiver(party("991825827"));
        System.out.println("can " + port.getCanReceiveMessage(question).isResult());

        print("text", port, "c-text", letter);

        DocumentBuilderFactory factory = DocumentBuilderFactory.newInstance();
        factory.setNamespaceAware(true);
        print("dom", port, "c-dom", factory.newDocumentBuilder()
                .parse(new ByteArrayInputStream(letter.getBytes(StandardCharsets.UTF_8)))
                .getDocumentElement());

        AppReceiptType receipt = new AppReceiptType();
        receipt.setType("OK");
        StatusMessageType message = new StatusMessageType();
        message.setCode("Recno");
        message.setText("4711");
        receipt.getMessage().add(message);
        print("receipt", port, "c-receipt", receipt);

        ((BindingProvider) port).getRequestContext()
                .put("com.sun.xml.internal.ws.transport.http.client.streaming.chunk.size", 8192);
        ((BindingProvider) port).getRequestContext()
                .put("com.sun.xml.ws.transport.http.client.streaming.chunk.size", 8192);
        print("chunked", port, "c-chunked", letter);

        try {
            print("fault", port, "c-fault", letter);
        } catch (SOAPFaultException fault) {
            System.out.println("fault " + fault.getFault().getFaultCodeAsQName()
                    + " " + fault.getFault().getFaultString());
        }
    }

    static void print(String name, SOAPport port, String conversation, Object payload) {
        PutMessageRequestType request = new PutMessageRequestType();
        EnvelopeType envelope = new EnvelopeType();
        envelope.setConversationId(conversation);
        envelope.setContentNamespace("http://www.arkivverket.no/Noark4-1-WS-WD/types");
        envelope.setSender(party("974760673"));
        envelope.setReceiver(party("991825827"));
        request.setEnvelope(envelope);
        request.setPayload(payload);
        AppReceiptType answer = port.putMessage(request).getResult();
        System.out.println(name + " " + answer.getType() + " " + answer.getMessage().size());
    }

    static AddressType party(String orgnr) {
        AddressType address = new AddressType();
        address.setOrgnr(orgnr);
        return address;
    }
}
